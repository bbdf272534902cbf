"""Computes the cost of one call: units of usage times the rates of one price, in integers, rounded once. Pure.

Every token is billed exactly once. There are two totals: all input (including cached and cache-write tokens, whatever
the caller's convention) and all output. A part with its own rate is subtracted from its total; other parts stay in it
and are billed at the total's rate. Parts of the input: cached, cache-write (including the one-hour ones), audio, image
and video tokens. Parts of the output: reasoning, audio and image tokens. A part never exceeds what is left of its total.
Cached audio and image tokens are parts of the cached tokens and of the audio or image tokens: they bill as cached ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import compress
from operator import attrgetter
from typing import Literal, NamedTuple

from msgspec import Struct

from lib.money import divide_half_even

CostPart = Literal["input", "output", "other"]
CostSource = Literal["price_book", "free", "unpriced"]

MICRO = 1_000_000
MICRO_UNITS = frozenset({"seconds", "megapixels"})  # decimals with up to six places, stored as integer millionths
CATEGORIES_BY_UNIT = {"images": ("image", "image_edit"), "searches": ("search",), "pages": ("crawl",)}
CACHED_PARTS = {
    "cached_audio_tokens": "input_audio_tokens",
    "cached_image_tokens": "image_tokens",
}  # -> their other whole
INPUT_PARTS = (
    *(*CACHED_PARTS, "cached_input_tokens", "cache_write_1h_tokens", "cache_write_tokens"),
    *("input_audio_tokens", "image_tokens", "input_video_tokens"),
)
OUTPUT_PARTS = ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")
OTHER_UNITS = (
    *("requests", "images", "megapixels", "seconds", "characters", "searches", "pages"),
    *("web_fetches", "sessions"),
)
UNITS = ("input_tokens", *INPUT_PARTS, "output_tokens", *OUTPUT_PARTS, *OTHER_UNITS)


class Variant(NamedTuple):
    """What distinguishes the prices of one model's calls; None or "" means not stated."""

    resolution: str | None = None
    quality: str | None = None
    service_tier: str | None = None
    region: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    search_context: str | None = None
    context: str | None = None


class Quantities(Struct, frozen=True):
    """The usage of one call, with the API's field names; `seconds` and `megapixels` are integer millionths."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    image_tokens: int = 0
    output_image_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    input_video_tokens: int = 0
    images: int | None = None
    megapixels: int | None = None
    seconds: int | None = None
    characters: int | None = None
    searches: int | None = None
    pages: int | None = None
    web_fetches: int | None = None
    sessions: int | None = None
    requests: int = 1
    cached_included: bool = True
    variant: Variant = Variant()
    category: str = ""


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


_KEYS = Variant._fields
_Conditions = tuple[tuple[str, str], ...]


class _RatedUnit(NamedTuple):
    """One unit of a rate card; `quantity` reads how much of it a call used."""

    unit: str
    nano_per_million: int
    quantity: Callable[[Quantities], int]


class _RateCard(NamedTuple):
    """The rates of one price that apply to one call, in nano-USD per million units."""

    input_parts: tuple[_RatedUnit, ...]
    input_rate: int | None
    output_parts: tuple[_RatedUnit, ...]
    output_rate: int | None
    others: tuple[_RatedUnit, ...]


@dataclass(frozen=True, slots=True)
class PricedModel:
    """One price of a model; `service_tier` is set if the requested model id names one ("gpt-4o:batch")."""

    id: int
    provider: str
    pattern: str
    valid_from: date
    source: str
    rates: tuple[Rate, ...]
    matched_by: str = "exact"
    service_tier: str = ""
    _conditions: tuple[_Conditions, ...] = field(init=False, repr=False, compare=False)  # one per rate
    _tiers: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _cards_by_tier: tuple[_RateCard, ...] | None = field(init=False, repr=False, compare=False)  # None: variants differ
    _cards: dict[tuple[bool, ...], _RateCard] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tiers = sorted({rate.above for rate in self.rates if rate.above})
        by_tier = [[rate for rate in self.rates if rate.above <= tier] for tier in (0, *tiers)]
        conditions = tuple(parse_conditions(rate.variant) for rate in self.rates)
        cards = None if any(conditions) else tuple(_build_card(rates) for rates in by_tier)
        object.__setattr__(self, "_conditions", conditions)
        object.__setattr__(self, "_tiers", tuple(tiers))
        object.__setattr__(self, "_cards_by_tier", cards)
        object.__setattr__(self, "_cards", {})

    def rate_card(self, quantities: Quantities, total_input: int) -> _RateCard:
        """Returns the rates that apply to this call."""
        if self._cards_by_tier is not None:
            return self._cards_by_tier[bisect_left(self._tiers, total_input)] if self._tiers else self._cards_by_tier[0]
        applicable = self._applicable(quantities, total_input)
        card = self._cards.get(applicable)
        if card is None:  # the price's own conditions bound the number of cards, whatever callers state
            card = self._cards[applicable] = _build_card(compress(self.rates, applicable))
        return card

    def rates_for(self, quantities: Quantities) -> dict[str, Rate]:
        """Returns the rate of each unit that applies to this call, for explanations."""
        return _best_rates(compress(self.rates, self._applicable(quantities, input_total(quantities))))

    def _applicable(self, quantities: Quantities, total_input: int) -> tuple[bool, ...]:
        """Tells for each rate whether its tier is reached and its conditions are met."""
        stated = {key: (value or "").strip().lower() for key, value in zip(_KEYS, quantities.variant, strict=True)}
        stated["service_tier"] = self.service_tier or stated["service_tier"]
        return tuple(
            (not rate.above or total_input > rate.above) and all(stated.get(key) == value for key, value in conditions)
            for rate, conditions in zip(self.rates, self._conditions, strict=True)
        )


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
    """A cost in nano-USD; input + output + other = total. `billed` is False if the call used no rated unit (unpriced)."""

    input_nano: int
    output_nano: int
    other_nano: int
    total_nano: int
    lines: tuple[CostLine, ...]
    billed: bool

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
    total_input = input_total(quantities)
    card = price.rate_card(quantities, total_input)
    lines: list[CostLine] = []
    total_output = quantities.output_tokens
    input_amount = _add_token_lines(lines, "input", total_input, card.input_parts, card.input_rate, quantities)
    output_amount = _add_token_lines(lines, "output", total_output, card.output_parts, card.output_rate, quantities)
    if not card.others:
        return _round_cost(input_amount, output_amount, 0, MICRO, lines)
    other_amount = _add_other_lines(lines, card.others, quantities)
    return _round_cost(input_amount * MICRO, output_amount * MICRO, other_amount, MICRO * MICRO, lines)


def input_total(quantities: Quantities) -> int:
    """Returns all input tokens, including cached and cache-write tokens under either convention."""
    if quantities.cached_included:
        return quantities.input_tokens
    return quantities.input_tokens + quantities.cached_input_tokens + _cache_writes(quantities)


def tokens_total(quantities: Quantities) -> int:
    """Returns all input tokens (see input_total) plus all output tokens."""
    return input_total(quantities) + quantities.output_tokens


def has_usage(quantities: Quantities) -> bool:
    """Tells whether anything but the request itself was used: a failed call without usage costs nothing."""
    return any(getattr(quantities, unit) for unit in UNITS if unit != "requests")


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
    parts: Iterable[_RatedUnit],
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


def _add_other_lines(lines: list[CostLine], units: Iterable[_RatedUnit], quantities: Quantities) -> int:
    """Adds the lines of all other rated units. Returns the amount in 10^-12 nano-USD."""
    all_lines = [CostLine(rated.unit, rated.quantity(quantities), rated.nano_per_million, "other") for rated in units]
    billed = [line for line in all_lines if line.quantity]
    lines += billed
    return sum(line.scaled_amount for line in billed)


def _best_rates(applicable: Iterable[Rate]) -> dict[str, Rate]:
    """Returns for each unit the rate with the most conditions, then the highest tier, then the first variant by text."""
    best: dict[str, Rate] = {}
    for rate in sorted(applicable, key=lambda rate: (-len(parse_conditions(rate.variant)), -rate.above, rate.variant)):
        best.setdefault(rate.unit, rate)
    return best


def _build_card(applicable: Iterable[Rate]) -> _RateCard:
    best = _best_rates(applicable)
    nano = {unit: best[unit].nano_per_million for unit in UNITS if unit in best}
    rated = {unit: _RatedUnit(unit, rate, _quantity_reader(unit, best)) for unit, rate in nano.items()}
    input_parts, output_parts, others = (
        tuple(rated[unit] for unit in units if unit in rated) for units in (INPUT_PARTS, OUTPUT_PARTS, OTHER_UNITS)
    )
    return _RateCard(input_parts, nano.get("input_tokens"), output_parts, nano.get("output_tokens"), others)


def parse_conditions(variant: str) -> _Conditions:
    """Parses a rate's conditions into (key, value) pairs in lower case."""
    pairs = (term.partition("=") for term in variant.lower().split(",") if term.strip())
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def _quantity_reader(unit: str, rated: Container[str]) -> Callable[[Quantities], int]:
    """Returns a function that reads how much of a unit a call used."""
    if unit == "cache_write_tokens":
        return _short_cache_writes if "cache_write_1h_tokens" in rated else _cache_writes
    if unit == "cached_input_tokens":
        return _without(unit, [part for part in CACHED_PARTS if part in rated])
    if unit in CACHED_PARTS.values():
        part = next(part for part, whole in CACHED_PARTS.items() if whole == unit)
        return _without(unit, [part] if part in rated or "cached_input_tokens" in rated else [])
    categories = CATEGORIES_BY_UNIT.get(unit)
    if categories is None:
        stated = attrgetter(unit)
        return lambda quantities: stated(quantities) or 0
    return partial(_count_or_requests, attrgetter(unit), categories)


def _without(unit: str, parts: Sequence[str]) -> Callable[[Quantities], int]:
    """Returns a function that reads a unit without those of its parts that bill as another unit."""
    total = attrgetter(unit)
    if not parts:
        return total
    part_counts = [attrgetter(part) for part in parts]
    return lambda quantities: max(0, total(quantities) - sum(count(quantities) for count in part_counts))


def _count_or_requests(
    stated: Callable[[Quantities], int | None], categories: Container[str], quantities: Quantities
) -> int:
    """Returns the stated count. If none is stated, a call of the unit's own category counts one per request."""
    count = stated(quantities)
    if count is None and quantities.category in categories:
        return quantities.requests
    return count or 0


def _cache_writes(quantities: Quantities) -> int:
    """Returns the cache-write tokens. They include the one-hour ones, even if a caller reports only those."""
    return max(quantities.cache_write_tokens, quantities.cache_write_1h_tokens)


def _short_cache_writes(quantities: Quantities) -> int:
    return _cache_writes(quantities) - quantities.cache_write_1h_tokens
