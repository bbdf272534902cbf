"""Computes the cost of one call: units of usage times the rates of one price, in integers, rounded once. Pure.

Every token is billed exactly once. There are two totals: all input (including cached and cache-write tokens, whatever
the caller's convention) and all output. A part with its own rate is subtracted from its total; other parts stay in it
and are billed at the total's rate. Parts of the input: cached, cache-write (including the one-hour ones), audio, image
and video tokens. Parts of the output: reasoning, audio and image tokens. A part never exceeds what is left of its total.
Cached audio and image tokens are parts of the cached tokens and of the audio or image tokens: they bill as cached ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from lib.money import divide_half_even
from providers import price_conditions, rate_cards
from providers import quantities as usage
from providers.price_conditions import CHOSEN_KEYS, HOURS
from providers.quantities import MICRO, MICRO_UNITS, Quantities, Variant
from providers.rate_cards import ConditionalRate, RateCard, RatedUnit

CostPart = Literal["input", "output", "other"]
CostSource = Literal["price_book", "free", "unpriced"]


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit's rate in nano-USD per million units.

    `variant` is "" (any) or holds conditions such as "resolution=720p,quality=hd"; "resolution=" means not stated.
    `above` defines a tier: the rate applies if the call's total input is strictly above this many tokens.
    """

    unit: str
    variant: str
    above: int
    nano_per_million: int


_Terms = tuple[tuple[str, ...], ...]  # for each key of a price's conditions, the values that hold for a call


class _Stated(NamedTuple):
    """What a call states, without default values."""

    values: Mapping[str, str]
    chosen: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PricedModel:
    """One price of a model; `service_tier` is set if the requested model id names one ("gpt-4o:batch").

    `holds_for` are the keys of chosen conditions that do not change the price.
    """

    id: int
    provider: str
    pattern: str
    valid_from: date
    source: str
    rates: tuple[Rate, ...]
    matched_by: str = "exact"
    service_tier: str = ""
    holds_for: frozenset[str] = frozenset()
    _conditional_rates: tuple[ConditionalRate, ...] = field(init=False, repr=False, compare=False)
    _values: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)  # by key, of all rates
    _tiers: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _cards: dict[tuple[int, _Terms], RateCard] = field(init=False, repr=False, compare=False)
    _plain_cards: tuple[RateCard, ...] | None = field(
        init=False, repr=False, compare=False
    )  # None: there are conditions
    is_free: bool = field(init=False, repr=False, compare=False)  # every rate is zero

    def __post_init__(self) -> None:
        conditions = [price_conditions.normalize(price_conditions.parse(rate.variant)) for rate in self.rates]
        keys = sorted({key for condition in conditions for key in condition})
        values = {key: frozenset(condition[key] for condition in conditions if key in condition) for key in keys}
        object.__setattr__(self, "_conditional_rates", tuple(zip(self.rates, conditions, strict=True)))
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_tiers", tuple(sorted({rate.above for rate in self.rates if rate.above})))
        object.__setattr__(self, "is_free", bool(self.rates) and not any(rate.nano_per_million for rate in self.rates))
        object.__setattr__(self, "_cards", {})
        plain = None if values else tuple(self._build_card(tier, ()) for tier in range(len(self._tiers) + 1))
        object.__setattr__(self, "_plain_cards", plain)

    def rate_card(self, quantities: Quantities, request_tokens: int) -> RateCard:
        """Returns the rates that apply to this call, whose requests have that many input tokens."""
        tier = bisect_left(self._tiers, request_tokens) if self._tiers else 0
        if self._plain_cards is not None:
            return self._plain_cards[tier]
        terms = self._terms(quantities)
        card = self._cards.get((tier, terms))
        if card is None:  # the price's own conditions bound the number of cards, whatever callers state
            card = self._cards[tier, terms] = self._build_card(tier, terms)
        return card

    def request_tokens(self, quantities: Quantities) -> int | None:
        """Returns the input tokens of a request. Of aggregated ones, the number that each had at least, None if unknown.

        No requests stand for aggregated ones whose number is not known.
        """
        if quantities.requests == 1 or not self._tiers:
            return usage.input_total(quantities)
        context = (quantities.variant.context or "").strip().lower()
        if context == price_conditions.LONG_CONTEXT:
            return self._tiers[0] + 1 if len(self._tiers) == 1 else None
        return 0 if context == price_conditions.SHORT_CONTEXT else price_conditions.min_tokens(context)

    def stated(self, quantities: Quantities) -> _Stated:
        """Returns the conditions that the call, or the requested model id, states."""
        return _normalize_stated(quantities.variant, self.service_tier)

    def is_for(self, key: str, value: str) -> bool:
        """Tells whether all rates hold under this chosen condition, as under the one that the price's id names."""
        return key in self.holds_for or (key == "service_tier" and self.pattern.endswith(f":{value}"))

    def _terms(self, quantities: Quantities) -> _Terms:
        values, minute = self.stated(quantities).values, quantities.utc_minute
        return tuple(
            _windows_at(known, minute) if key == HOURS else (value,) if (value := values.get(key, "")) in known else ()
            for key, known in self._values.items()
        )

    def _build_card(self, tier: int, terms: _Terms) -> RateCard:
        call, highest_tier = dict(zip(self._values, terms, strict=True)), self._tiers[tier - 1] if tier else 0
        return rate_cards.build(self._conditional_rates, call, highest_tier, self.holds_for)


class CostLine(Struct, frozen=True):
    """One billed unit; `quantity` is in millionths for the units of MICRO_UNITS."""

    unit: str
    quantity: int
    nano_per_million: int
    part: CostPart

    @property
    def scaled_amount(self) -> int:
        """The exact amount in 10^-12 nano-USD."""
        return self.quantity * self.nano_per_million * (1 if self.unit in MICRO_UNITS else MICRO)

    @property
    def decimal_quantity(self) -> Decimal:
        """The exact quantity in whole units."""
        return Decimal(f"{self.quantity}E-6" if self.unit in MICRO_UNITS else self.quantity)

    @property
    def usd(self) -> Decimal:
        """The exact amount in USD, not rounded."""
        return Decimal(f"{self.scaled_amount}E-21")


class Cost(NamedTuple):
    """A cost in nano-USD; input + output + other = total. `billed` is False (unpriced) if the call used no rated unit, unless
    every rate of the price is zero.

    `unknown_condition` is set if it is unpriced because the price does not know a condition of the call: "service_tier=batch".
    """

    input_nano: int
    output_nano: int
    other_nano: int
    total_nano: int
    lines: tuple[CostLine, ...]
    billed: bool
    unknown_condition: str = ""

    @property
    def source(self) -> CostSource:
        """Returns "free" for a known price of zero; a cost that merely rounds to zero is "price_book"."""
        if not self.billed:
            return "unpriced"
        return "price_book" if any(line.nano_per_million for line in self.lines) else "free"

    @property
    def unrounded_usd(self) -> Decimal:
        """The exact sum of the lines in USD; the total minus this is the rounding."""
        return Decimal(f"{sum(line.scaled_amount for line in self.lines)}E-21")


def cost(price: PricedModel, quantities: Quantities) -> Cost:
    """Multiplies units by rates and rounds the total once, half-even; the remainder goes to the largest part."""
    tokens = price.request_tokens(quantities)
    if tokens is None:
        return _unpriced(f"context={quantities.variant.context}")
    card = price.rate_card(quantities, tokens)
    result = _multiply(card, quantities)
    if card.may_not_fit or price.stated(quantities).chosen:
        unknown_condition = _unknown_condition(price, card, quantities, result.lines)
        if unknown_condition or ("output_image_tokens" in card.rates and usage.has_unsplit_output(quantities)):
            return _unpriced(unknown_condition)
    return result._replace(billed=True) if price.is_free else result


def cost_by_any_rate(price: PricedModel, quantities: Quantities) -> Cost:
    """The cost as the first releases computed it: by the plain rates under conditions that the price does not know, and
    with all input of an aggregated row as that of one request.
    """
    return _multiply(price.rate_card(quantities, usage.input_total(quantities)), quantities)


def _multiply(card: RateCard, quantities: Quantities) -> Cost:
    lines: list[CostLine] = []
    totals = usage.input_total(quantities), quantities.output_tokens
    input_amount = _add_token_lines(lines, "input", totals[0], card.input_parts, card.input_rate, quantities)
    output_amount = _add_token_lines(lines, "output", totals[1], card.output_parts, card.output_rate, quantities)
    if not card.others:
        return _round_cost(input_amount, output_amount, 0, MICRO, lines)
    other_amount = _add_other_lines(lines, card.others, quantities)
    return _round_cost(input_amount * MICRO, output_amount * MICRO, other_amount, MICRO * MICRO, lines)


def _unpriced(unknown_condition: str) -> Cost:
    return Cost(0, 0, 0, 0, (), billed=False, unknown_condition=unknown_condition)


def _unknown_condition(price: PricedModel, card: RateCard, quantities: Quantities, lines: Iterable[CostLine]) -> str:
    """Returns the conditions of the call for which the price has no rate, "" if it has rates for what was used."""
    stated = price.stated(quantities)
    for key, value in stated.chosen:
        if (key, value) not in card.known and not price.is_for(key, value) and _is_relevant(key, quantities, lines):
            return f"{key}={value}"
    for gap in card.gaps:
        if (gap.always or not lines) and gap.quantity(quantities):
            return ",".join(f"{key}={_stated_value(key, stated, quantities)}" for key in gap.keys)
    return next((card.clashes[line.unit] for line in lines if line.unit in card.clashes), "") if card.clashes else ""


def _is_relevant(key: str, quantities: Quantities, lines: Iterable[CostLine]) -> bool:
    """Tells whether the call used what a chosen condition is about."""
    return bool(_searches(quantities) if key == "search_context" else lines)


_searches = usage.counter_of("searches", {"searches"})


def _stated_value(key: str, stated: _Stated, quantities: Quantities) -> str:
    if key == HOURS:
        minute = quantities.utc_minute
        return "" if minute is None else f"{minute // 60:02}:{minute % 60:02}"
    return stated.values.get(key, "")


@lru_cache(maxsize=4096)
def _normalize_stated(variant: Variant, service_tier: str) -> _Stated:
    conditions = price_conditions.normalize(zip(Variant._fields, variant, strict=True))
    if service_tier:
        conditions["service_tier"] = service_tier
    return _Stated(conditions, tuple((key, value) for key in CHOSEN_KEYS if (value := conditions.get(key, ""))))


def _windows_at(windows: Iterable[str], minute: int | None) -> tuple[str, ...]:
    if minute is None:
        return ()
    return tuple(sorted(window for window in windows if price_conditions.is_within(window, minute)))


def _round_cost(input_: int, output: int, other: int, scale: int, lines: list[CostLine]) -> Cost:
    """Rounds exact amounts, in nano-USD times `scale`, to whole nano-USD."""
    total = divide_half_even(input_ + output + other, scale)
    input_nano, output_nano, other_nano = input_ // scale, output // scale, other // scale
    remainder = total - input_nano - output_nano - other_nano
    if remainder and input_ >= output and input_ >= other:
        input_nano += remainder
    elif remainder and output >= other:
        output_nano += remainder
    else:
        other_nano += remainder
    return Cost(input_nano, output_nano, other_nano, total, tuple(lines), bool(lines))


def _add_token_lines(
    lines: list[CostLine],
    part: CostPart,
    total: int,
    parts: Iterable[RatedUnit],
    rate: int | None,
    quantities: Quantities,
) -> int:
    """Adds a line for each rated part and for the rest of the total. Returns the amount in 10^-6 nano-USD."""
    amount, rest = 0, total
    for unit, nano_per_million, quantity in parts:
        tokens = min(quantity(quantities), rest)
        if tokens:
            lines.append(CostLine(unit, tokens, nano_per_million, part))
            amount += tokens * nano_per_million
            rest -= tokens
    if rest and rate is not None:
        lines.append(CostLine("input_tokens" if part == "input" else "output_tokens", rest, rate, part))
        amount += rest * rate
    return amount


def _add_other_lines(lines: list[CostLine], units: Iterable[RatedUnit], quantities: Quantities) -> int:
    """Adds the lines of all other rated units. Returns the amount in 10^-12 nano-USD."""
    all_lines = [CostLine(rated.unit, rated.quantity(quantities), rated.nano_per_million, "other") for rated in units]
    billed = [line for line in all_lines if line.quantity]
    lines += billed
    return sum(line.scaled_amount for line in billed)
