"""What one call costs: the units of its usage times the rates of one price, in integers, rounded once. Pure.

Tokens are billed as sent, each exactly once. The wholes are all input (cached and cache-write tokens included, whatever
the caller's convention) and all output. A part with a rate of its own is taken out of its whole; any other part stays
in it and bills at the whole's rate. Parts of the input: cached, cache-write (its one-hour part inside it), audio and
image tokens. Parts of the output: reasoning and audio tokens. No part is larger than what is left of its whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import compress
from operator import attrgetter
from typing import Literal, NamedTuple

from msgspec import Struct

from lib.money import half_even

Part = Literal["input", "output", "other"]
Source = Literal["price_book", "free", "unpriced"]

MICRO = 1_000_000
MICRO_UNITS = frozenset({"seconds", "megapixels"})  # decimals with up to six places: held as integer millionths
OWN_CATEGORY = {"images": ("image", "image_edit"), "searches": ("search",), "pages": ("crawl",)}
INPUT_PARTS = (
    "cached_input_tokens",
    "cache_write_1h_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "image_tokens",
)
OUTPUT_PARTS = ("reasoning_tokens", "output_audio_tokens")
OTHER_UNITS = ("requests", "images", "megapixels", "seconds", "characters", "searches", "pages")
UNITS = ("input_tokens", *INPUT_PARTS, "output_tokens", *OUTPUT_PARTS, *OTHER_UNITS)


class Variant(NamedTuple):
    """What distinguishes calls of one model; None or empty is "not stated"."""

    resolution: str | None = None
    quality: str | None = None
    service_tier: str | None = None


class Quantities(Struct, frozen=True):
    """The usage of one call by the API's field names; `seconds` and `megapixels` are integer millionths."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    image_tokens: int = 0
    images: int | None = None
    megapixels: int | None = None
    seconds: int | None = None
    characters: int | None = None
    searches: int | None = None
    pages: int | None = None
    requests: int = 1
    cached_included: bool = True
    variant: Variant = Variant()
    category: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit's rate in nano-USD per million units.

    `variant` is empty (any) or conditions such as "resolution=720p,quality=hd"; "resolution=": where none is stated.
    `above` makes a tier: the rate counts when the call's total input is strictly above so many tokens.
    """

    unit: str
    variant: str
    above: int
    nano_per_million: int


_KEYS = Variant._fields
_Conditions = tuple[tuple[str, str], ...]


class _Charge(NamedTuple):
    """One rated unit of a card, and how a call's usage tells its quantity."""

    unit: str
    nano_per_million: int
    quantity: Callable[[Quantities], int]


class _Card(NamedTuple):
    """The rates of one price that hold for one call."""

    input_parts: tuple[_Charge, ...]
    input_rate: int | None
    output_parts: tuple[_Charge, ...]
    output_rate: int | None
    others: tuple[_Charge, ...]


@dataclass(frozen=True, slots=True)
class PricedModel:
    """One price in force; `service_tier` is what the asked-for id itself says ("gpt-4o:batch")."""

    id: int
    provider: str
    pattern: str
    valid_from: date
    source: str
    rates: tuple[Rate, ...]
    matched_by: str = "exact"
    service_tier: str = ""
    _wanted: tuple[_Conditions, ...] = field(init=False, repr=False, compare=False)  # of each rate
    _tiers: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _by_tier: tuple[_Card, ...] | None = field(init=False, repr=False, compare=False)  # None: it depends on the variant
    _by_holding: dict[tuple[bool, ...], _Card] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tiers = sorted({rate.above for rate in self.rates if rate.above})
        reached = [[rate for rate in self.rates if rate.above <= tier] for tier in (0, *tiers)]
        wanted = tuple(conditions(rate.variant) for rate in self.rates)
        object.__setattr__(self, "_wanted", wanted)
        object.__setattr__(self, "_tiers", tuple(tiers))
        object.__setattr__(self, "_by_tier", None if any(wanted) else tuple(_card(rates) for rates in reached))
        object.__setattr__(self, "_by_holding", {})

    def card(self, quantities: Quantities, total_input: int) -> _Card:
        """The rates that hold for this call."""
        if self._by_tier is not None:
            return self._by_tier[bisect_left(self._tiers, total_input)] if self._tiers else self._by_tier[0]
        holding = self._holding(quantities, total_input)
        card = self._by_holding.get(holding)
        if card is None:  # as many as the price's own values, whatever callers state
            card = self._by_holding[holding] = _card(compress(self.rates, holding))
        return card

    def rates_for(self, quantities: Quantities) -> dict[str, Rate]:
        """The rate of each unit that holds for this call: for explanations."""
        return _best(compress(self.rates, self._holding(quantities, input_total(quantities))))

    def _holding(self, quantities: Quantities, total_input: int) -> tuple[bool, ...]:
        """Of each rate, whether its tier is reached and its conditions are met."""
        stated = {key: (value or "").strip().lower() for key, value in zip(_KEYS, quantities.variant, strict=True)}
        stated["service_tier"] = self.service_tier or stated["service_tier"]
        return tuple(
            (not rate.above or total_input > rate.above) and all(stated.get(key) == value for key, value in wanted)
            for rate, wanted in zip(self.rates, self._wanted, strict=True)
        )


class Line(Struct, frozen=True):
    """One billed unit, for explanations; `quantity` is in millionths for the units of MICRO_UNITS."""

    unit: str
    quantity: int
    nano_per_million: int
    part: Part

    @property
    def scaled(self) -> int:
        """The exact amount in 10^-12 nano-USD."""
        return self.quantity * self.nano_per_million * (1 if self.unit in MICRO_UNITS else MICRO)

    @property
    def amount(self) -> Decimal:
        """The exact quantity in whole units."""
        return Decimal(f"{self.quantity}E-6" if self.unit in MICRO_UNITS else self.quantity)

    @property
    def usd(self) -> Decimal:
        """The exact amount in USD, not rounded."""
        return Decimal(f"{self.scaled}E-21")


class Cost(NamedTuple):
    """Nano-USD, with input + output + other = total; `billed` is False where no rated unit is above zero (unpriced)."""

    input_nano: int
    output_nano: int
    other_nano: int
    total_nano: int
    lines: tuple[Line, ...]
    billed: bool

    @property
    def source(self) -> Source:
        """`free` is a known price of zero; a cost that only rounds to zero is still the price book's."""
        if not self.billed:
            return "unpriced"
        return "price_book" if any(line.nano_per_million for line in self.lines) else "free"

    @property
    def unrounded_usd(self) -> Decimal:
        """The exact sum of the lines in USD; the total less this is the rounding."""
        return Decimal(f"{sum(line.scaled for line in self.lines)}E-21")


def cost(price: PricedModel, quantities: Quantities) -> Cost:
    """Units times rates, rounded half-even once, on the total; the remainder goes to the largest part."""
    whole = input_total(quantities)
    card = price.card(quantities, whole)
    lines: list[Line] = []
    for_input = _tokens(lines, "input", whole, card.input_parts, card.input_rate, quantities)
    for_output = _tokens(lines, "output", quantities.output_tokens, card.output_parts, card.output_rate, quantities)
    if not card.others:
        return _rounded(for_input, for_output, 0, MICRO, lines)
    for_other = _others(lines, card.others, quantities)
    return _rounded(for_input * MICRO, for_output * MICRO, for_other, MICRO * MICRO, lines)


def input_total(quantities: Quantities) -> int:
    """All input tokens, cached and cache-write ones included under either convention."""
    if quantities.cached_included:
        return quantities.input_tokens
    return quantities.input_tokens + quantities.cached_input_tokens + _written(quantities)


def tokens_total(quantities: Quantities) -> int:
    """All input, cached included under either convention, plus output."""
    return input_total(quantities) + quantities.output_tokens


def has_usage(quantities: Quantities) -> bool:
    """Whether anything but the request itself was used: a failed call without usage costs nothing."""
    return any(getattr(quantities, unit) for unit in UNITS if unit != "requests")


def _rounded(for_input: int, for_output: int, for_other: int, scale: int, lines: list[Line]) -> Cost:
    """The exact amounts of the parts, in nano-USD divided by `scale`, as whole nano-USD."""
    total = half_even(for_input + for_output + for_other, scale)
    inputs, outputs, others = for_input // scale, for_output // scale, for_other // scale
    rest = total - inputs - outputs - others
    if rest and for_input >= for_output and for_input >= for_other:
        inputs += rest
    elif rest and for_output >= for_other:
        outputs += rest
    else:
        others += rest
    return Cost(inputs, outputs, others, total, tuple(lines), bool(lines))


def _tokens(
    lines: list[Line], part: Part, whole: int, parts: Iterable[_Charge], rate: int | None, quantities: Quantities
) -> int:
    """Adds the lines of the parts that have a rate, and of the rest of the whole; the amount in 10^-6 nano-USD."""
    amount = 0
    for unit, nano_per_million, quantity in parts:
        taken = min(quantity(quantities), whole)
        if taken:
            lines.append(Line(unit, taken, nano_per_million, part))
            amount += taken * nano_per_million
            whole -= taken
    if whole and rate is not None:
        lines.append(Line("input_tokens" if part == "input" else "output_tokens", whole, rate, part))
        amount += whole * rate
    return amount


def _others(lines: list[Line], charges: Iterable[_Charge], quantities: Quantities) -> int:
    """Adds the lines of all other rated units; the amount in 10^-12 nano-USD."""
    found = [Line(c.unit, c.quantity(quantities), c.nano_per_million, "other") for c in charges]
    billed = [line for line in found if line.quantity]
    lines += billed
    return sum(line.scaled for line in billed)


def _best(holding: Iterable[Rate]) -> dict[str, Rate]:
    """For each unit the rate with most conditions, then of the highest tier, then the first by text."""
    best: dict[str, Rate] = {}
    for rate in sorted(holding, key=lambda rate: (-len(conditions(rate.variant)), -rate.above, rate.variant)):
        best.setdefault(rate.unit, rate)
    return best


def _card(holding: Iterable[Rate]) -> _Card:
    best = _best(holding)
    own = {unit: _Charge(unit, best[unit].nano_per_million, _quantity(unit, best)) for unit in UNITS if unit in best}
    wholes = [best[unit].nano_per_million if unit in best else None for unit in ("input_tokens", "output_tokens")]
    inputs, outputs, others = (
        tuple(own[unit] for unit in units if unit in own) for units in (INPUT_PARTS, OUTPUT_PARTS, OTHER_UNITS)
    )
    return _Card(inputs, wholes[0], outputs, wholes[1], others)


def conditions(variant: str) -> _Conditions:
    """The conditions of a rate as pairs in lower case."""
    pairs = (term.partition("=") for term in variant.lower().split(",") if term.strip())
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def _quantity(unit: str, rated: Container[str]) -> Callable[[Quantities], int]:
    """How much of a unit a call used."""
    if unit == "cache_write_tokens":
        return _written_short if "cache_write_1h_tokens" in rated else _written
    categories = OWN_CATEGORY.get(unit)
    if categories is None:
        sent = attrgetter(unit)
        return lambda quantities: sent(quantities) or 0
    return partial(_counted, attrgetter(unit), categories)


def _counted(sent: Callable[[Quantities], int | None], categories: Container[str], quantities: Quantities) -> int:
    """Nothing sent for the unit that the call's own category counts means one a request; a sent 0 stays 0."""
    count = sent(quantities)
    if count is None and quantities.category in categories:
        return quantities.requests
    return count or 0


def _written(quantities: Quantities) -> int:
    """Cache-write tokens; those kept for an hour are a part of them, also where a caller reports only these."""
    return max(quantities.cache_write_tokens, quantities.cache_write_1h_tokens)


def _written_short(quantities: Quantities) -> int:
    return _written(quantities) - quantities.cache_write_1h_tokens
