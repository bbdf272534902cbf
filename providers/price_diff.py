"""Compares two prices cell by cell, in integer nano-USD per million units. Pure.

A cell is what a rate applies to: a unit, a variant, and a threshold of total input. If a price has no own rate for a
cell, the rate that bills such a call counts (cached tokens: the input rate; a tier: the rate below it), so a rate that
only becomes explicit is no change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from providers import price_conditions
from providers.costing import PricedModel, Rate
from providers.price_conditions import HOURS
from providers.quantities import CACHED_PARTS, INPUT_PARTS, OUTPUT_PARTS, UNITS, Quantities, Variant

LARGE_CHANGE_PERCENT = 20
PARTS = (*INPUT_PARTS, *OUTPUT_PARTS)
FALLBACK_UNITS = {  # tried before the input rate
    "cache_write_1h_tokens": ("cache_write_tokens",),
    **{part: ("cached_input_tokens", whole) for part, whole in CACHED_PARTS.items()},
}


@dataclass(frozen=True, slots=True)
class RateChange:
    """One cell; the amounts are nano-USD per million units, None without a rate."""

    unit: str
    variant: str
    above: int
    current_nano: int | None
    proposed_nano: int | None

    @property
    def percent(self) -> Decimal | None:
        """The change in percent, signed, with two decimals; None if there is nothing to compare with."""
        if not self.current_nano or self.proposed_nano is None:
            return Decimal(0) if self.current_nano == self.proposed_nano else None
        return (Decimal(self.proposed_nano - self.current_nano) * 100 / self.current_nano).quantize(Decimal("0.01"))

    @property
    def is_large(self) -> bool:
        """True above 20 % either way, and for any change from or to zero or no rate."""
        if self.current_nano == self.proposed_nano:
            return False
        if not self.current_nano or self.proposed_nano is None:
            return True
        return abs(self.proposed_nano - self.current_nano) * 100 > LARGE_CHANGE_PERCENT * self.current_nano


def rate_changes(current: Iterable[Rate], proposed: Iterable[Rate]) -> list[RateChange]:
    """Returns every cell that either price has a rate for: no variant first, and totals before their parts."""
    old, new = _priced_model(current), _priced_model(proposed)
    cells = {(rate.unit, rate.variant, rate.above) for rate in (*old.rates, *new.rates)}
    return [
        RateChange(*cell, _effective_rate(old, *cell), _proposed_rate(new, *cell))
        for cell in sorted(cells, key=_sort_key)
    ]


def largest_percent(changes: Iterable[RateChange]) -> Decimal | None:
    """Returns the largest change in percent, signed; None if no cell can be compared."""
    percents = [change.percent for change in changes if change.percent is not None]
    return max(percents, key=abs, default=None)


def dropped(current: Iterable[Rate], proposed: Iterable[Rate]) -> list[Rate]:
    """Returns the rates of the current price that the proposed one lacks, if calls without them cost something else.

    A rate that bills as much as the rate that would apply, such as reasoning tokens at the output rate, is no loss.
    Without a rate for what a caller orders, such as batch mode, the call has no price.
    """
    current, proposed = tuple(current), tuple(proposed)
    new, cells = _priced_model(proposed), {_condition_cell(rate) for rate in proposed}
    missing = [rate for rate in current if _condition_cell(rate) not in cells]
    return [rate for rate in missing if _orders(rate.variant) or not _is_redundant(rate, current, new)]


def _is_redundant(rate: Rate, current: Iterable[Rate], new: PricedModel) -> bool:
    """Tells whether a call costs the same without the rate: by the current price, or by the new one."""
    others = _priced_model(remaining for remaining in current if remaining != rate)
    return any(
        _effective_rate(price, rate.unit, rate.variant, rate.above) == rate.nano_per_million for price in (others, new)
    )


def _orders(variant: str) -> set[tuple[str, str]]:
    """Returns the conditions that a caller orders, such as batch mode."""
    conditions = price_conditions.normalize(price_conditions.parse(variant))
    return {(key, value) for key, value in conditions.items() if value and key in price_conditions.CHOSEN_KEYS}


def _condition_cell(rate: Rate) -> tuple[str, frozenset[tuple[str, str]], int]:
    return rate.unit, frozenset(price_conditions.normalize(price_conditions.parse(rate.variant)).items()), rate.above


def contradict(rates: Iterable[Rate], others: Iterable[Rate]) -> bool:
    """Tells whether two price lists have different amounts for a cell that is in both."""
    other_nano = {(rate.unit, rate.variant, rate.above): rate.nano_per_million for rate in others}
    return any(
        other_nano.get((rate.unit, rate.variant, rate.above), rate.nano_per_million) != rate.nano_per_million
        for rate in rates
    )


def _sort_key(cell: tuple[str, str, int]) -> tuple[str, int, bool, int]:
    unit, variant, above = cell
    return variant, above, unit in PARTS, UNITS.index(unit)


def _priced_model(rates: Iterable[Rate]) -> PricedModel:
    return PricedModel(0, "", "", date.min, "", tuple(rates))


def _proposed_rate(price: PricedModel, unit: str, variant: str, above: int) -> int | None:
    """Returns the effective rate, None if the price would not know what the caller orders: the call would be unpriced."""
    known = {pair for rate in price.rates for pair in _orders(rate.variant)}
    return _effective_rate(price, unit, variant, above) if _orders(variant) <= known else None


def _effective_rate(price: PricedModel, unit: str, variant: str, above: int) -> int | None:
    """Returns the rate that bills a unit of such a call, in nano-USD per million: its own, or that of its total."""
    card = price.rate_card(_call_under(variant), above + 1)
    own = {rated.unit: rated.nano_per_million for rated in (*card.input_parts, *card.output_parts, *card.others)}
    for name in (unit, *FALLBACK_UNITS.get(unit, ())):
        if name in own:
            return own[name]
    if unit in ("input_tokens", *INPUT_PARTS):
        return card.input_rate
    return card.output_rate if unit in ("output_tokens", *OUTPUT_PARTS) else None


def _call_under(variant: str) -> Quantities:
    """Returns a call that meets the conditions of a rate."""
    stated = dict(price_conditions.parse(variant))
    minute = price_conditions.start_of(stated.pop(HOURS, ""))
    return Quantities(variant=Variant(**stated), utc_minute=minute)
