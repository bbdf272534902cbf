"""Chooses the rates of one price that apply to calls under the same conditions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from providers.price_conditions import CHOSEN_KEYS, GIVEN_KEYS
from providers.quantities import INPUT_PARTS, OTHER_UNITS, OUTPUT_PARTS, Quantities, counter_of

if TYPE_CHECKING:
    from providers.costing import Rate

ConditionalRate = tuple["Rate", dict[str, str]]  # with its conditions, normalized


class RatedUnit(NamedTuple):
    """One unit of a rate card; `quantity` reads how much of it a call used."""

    unit: str
    nano_per_million: int
    quantity: Callable[[Quantities], int]


class Gap(NamedTuple):
    """A unit for which a price has no rate under a call's conditions; `keys` are the conditions in question."""

    unit: str
    keys: tuple[str, ...]
    quantity: Callable[[Quantities], int]
    always: bool  # False: it matters only for a call that nothing else bills


class RateCard(NamedTuple):
    """The rates of one price that apply to one call, in nano-USD per million units."""

    input_parts: tuple[RatedUnit, ...]
    input_rate: int | None
    output_parts: tuple[RatedUnit, ...]
    output_rate: int | None
    others: tuple[RatedUnit, ...]
    rates: Mapping[str, Rate]  # by unit
    known: frozenset[tuple[str, str]]  # chosen conditions, each of which some rate has
    gaps: tuple[Gap, ...]
    clashes: Mapping[str, str]  # unit -> chosen conditions that only different rates have
    may_not_fit: bool  # False: every call that states no chosen condition can be priced


def build(
    rates: Sequence[ConditionalRate], call: Mapping[str, Container[str]], highest_tier: int, holds_for: Set[str]
) -> RateCard:
    """Builds the card for calls of a tier; `call` has the values of each condition that hold for them."""
    fitting = [pair for pair in rates if all(value in call[key] for key, value in pair[1].items())]
    applicable = [pair for pair in fitting if pair[0].above <= highest_tier]
    gaps = tuple(_gaps(rates, call, known={key for _, conditions in fitting for key in conditions}))
    best = _best_rates(applicable)
    clashes = dict(_clashes(applicable, best, holds_for))
    best_rates = {unit: rate for unit, (rate, _) in best.items()}
    rated = {
        unit: RatedUnit(unit, rate.nano_per_million, counter_of(unit, best_rates)) for unit, rate in best_rates.items()
    }
    input_parts, output_parts, others = (
        tuple(rated[unit] for unit in units if unit in rated) for units in (INPUT_PARTS, OUTPUT_PARTS, OTHER_UNITS)
    )
    return RateCard(
        input_parts,
        rated["input_tokens"].nano_per_million if "input_tokens" in rated else None,
        output_parts,
        rated["output_tokens"].nano_per_million if "output_tokens" in rated else None,
        others,
        rates=best_rates,
        known=frozenset(pair for _, conditions in applicable for pair in _chosen(conditions)),
        gaps=gaps,
        clashes=clashes,
        may_not_fit=bool(gaps or clashes or "output_image_tokens" in best_rates),
    )


def _gaps(rates: Iterable[ConditionalRate], call: Mapping[str, Container[str]], known: Set[str]) -> Iterator[Gap]:
    """Yields the units each of whose rates fails on a condition that no other rate of the price has for this call."""
    failing_keys: dict[str, list[set[str]]] = {}
    for rate, conditions in rates:
        failing = {key for key, value in conditions.items() if value not in call[key]}
        failing_keys.setdefault(rate.unit, []).append(failing - known)
    for unit, failing_of_rates in sorted(failing_keys.items()):
        if all(failing_of_rates):
            keys = set().union(*failing_of_rates)
            choosing = tuple(key for key in GIVEN_KEYS if key in keys)
            gap_keys = choosing or tuple(key for key in CHOSEN_KEYS if key in keys) or tuple(sorted(keys))
            yield Gap(unit, gap_keys, counter_of(unit, {unit}), always=bool(choosing))


def _best_rates(applicable: Iterable[ConditionalRate]) -> dict[str, ConditionalRate]:
    """Returns for each unit the rate with the most conditions, then the highest tier, then the first variant by text."""
    best: dict[str, ConditionalRate] = {}
    for pair in sorted(applicable, key=lambda pair: (-len(pair[1]), -pair[0].above, pair[0].variant)):
        best.setdefault(pair[0].unit, pair)
    return best


def _clashes(
    applicable: Iterable[ConditionalRate], best: Mapping[str, ConditionalRate], holds_for: Set[str]
) -> Iterator[tuple[str, str]]:
    """Yields the units whose best rate lacks a chosen condition that another of their rates has, with all of these."""
    chosen_of_unit: dict[str, set[tuple[str, str]]] = {}
    for rate, conditions in applicable:
        chosen = {pair for pair in _chosen(conditions) if pair[0] not in holds_for}
        chosen_of_unit.setdefault(rate.unit, set()).update(chosen)
    for unit, chosen in chosen_of_unit.items():
        if not chosen <= best[unit][1].items():
            yield unit, ",".join(f"{key}={value}" for key, value in sorted(chosen))


def _chosen(conditions: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((key, value) for key, value in conditions.items() if value and key in CHOSEN_KEYS)
