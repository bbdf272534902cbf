"""Converts the price fields of a LiteLLM entry to rates, choosing one of several ways to count.

An entry may state one price in several ways (per token, character or image). Token prices are preferred, then the unit
that the model's mode is sold by. Zero may also mean "not known" there, so a zero is never a price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from providers.costing import Rate
from providers.price_sources import litellm_conditions, litellm_keys, nano_per_million
from providers.price_sources.litellm_keys import ADDITIONAL, DUPLICATE, SEARCHES, TOKENS, Figure, is_price

_IMAGE_FIELDS = ("output_cost_per_image", "input_cost_per_image", "input_cost_per_pixel", "output_cost_per_pixel")
# Fields to use for a mode without token prices: the first one that has a price.
SOLD_BY_MODE = {
    "audio_speech": ("input_cost_per_character", "output_cost_per_second"),
    "audio_transcription": ("input_cost_per_second", "output_cost_per_second"),
    "image_edit": _IMAGE_FIELDS,
    "image_generation": _IMAGE_FIELDS,
    "ocr": ("ocr_cost_per_page",),
    "realtime": ("input_cost_per_second", "output_cost_per_second"),
    "rerank": ("input_cost_per_query",),
    "search": ("input_cost_per_query",),
    "video_generation": ("output_cost_per_video_per_second", "output_cost_per_second"),
}
_SIZE_PREFIX = "search_context_size_"
_SEARCH_UNIT, _BY_QUERY = "web_search_billing_unit", "per_query"
NO_PRICE = "no price above zero"
UNCOUNTED = "a unit that events do not count"
OUT_OF_RANGE = "a price out of range"
TWO_RATES = "two rates for one unit"


class Unsupported(Exception):
    """This entry cannot be imported; the argument is the reason."""


class ImageSize(NamedTuple):
    """The size in an image model's id ("hd/1024-x-1792/dall-e-3"): its variant, and the pixels of an image."""

    variant: str = ""
    pixels: int = 0


def rates(fields: Mapping[str, Any], mode: str, size: ImageSize) -> tuple[set[Rate], set[str]]:
    """Returns the rates of one entry, and the keys that they lack. Raises Unsupported."""
    figures, without = _parse_fields(fields)
    if any(figure.field in TOKENS for figure in figures):
        selected, unused = _by_token(figures, mode)
    else:
        selected, unused = _by_mode(figures, mode)
    try:
        selected, unexpressed = litellm_conditions.extend(selected, fields)
    except ArithmeticError as error:
        raise Unsupported(OUT_OF_RANGE) from error
    rates = {_rate(figure, size) for figure in selected}
    if len({(rate.unit, rate.variant, rate.above) for rate in rates}) < len(rates):
        raise Unsupported(TWO_RATES)
    return rates, without | unused | unexpressed


def _parse_fields(fields: Mapping[str, Any]) -> tuple[list[Figure], set[str]]:
    """Returns the prices above zero, and the keys that hold a number which no rate can express."""
    figures: list[Figure] = []
    without: set[str] = set()
    for key, value in fields.items():
        if key == "tiered_pricing":
            for above, amounts in _tiers(value):
                tier_figures, unknown = _parse_fields(amounts)
                figures += [figure._replace(above=above or figure.above) for figure in tier_figures]
                without |= unknown | (amounts.keys() & litellm_conditions.KEYS)
        elif key == SEARCHES:
            figures += _search_figures(value)
        elif is_price(litellm_keys.parse(key).field):
            figures += _figure(key, value)
        elif key == _SEARCH_UNIT and value != _BY_QUERY:
            without.add(key)
        elif key not in litellm_conditions.KEYS and not litellm_keys.is_informational(key, value):
            without.add(litellm_keys.parse(key).field)
    return figures, without


def _figure(key: str, value: object) -> Iterator[Figure]:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unsupported(OUT_OF_RANGE)
    if value:
        yield litellm_keys.parse(key)._replace(usd=Decimal(value))


def _tiers(tiers: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the lower bound and the prices of each tier; each has a range of input tokens and applies above its bound."""
    for tier in tiers if isinstance(tiers, list) else [tiers]:
        if not isinstance(tier, dict) or not isinstance(bounds := tier.get("range"), list):
            raise Unsupported(UNCOUNTED)
        if not bounds or not _is_count(bounds[0]):
            raise Unsupported(UNCOUNTED)
        yield int(bounds[0]), {name: value for name, value in tier.items() if name != "range"}


def _is_count(value: object) -> bool:
    return isinstance(value, int | Decimal) and 0 <= value < 10**12 and value == int(value)


def _search_figures(by_size: object) -> Iterator[Figure]:
    """Yields the price of one search, or those by context size if they differ (medium: as usual). Raises Unsupported."""
    prices = by_size if isinstance(by_size, dict) else {}
    if not all(isinstance(usd, int | Decimal) for usd in prices.values()):
        raise Unsupported(OUT_OF_RANGE)
    same = len(set(prices.values())) == 1
    for name, usd in list(prices.items())[: 1 if same else None]:
        size = name.removeprefix(_SIZE_PREFIX)
        if usd:
            variant = "" if same or size == "medium" else f"search_context={size}"
            yield Figure(SEARCHES, variant, 0, Decimal(usd))


def _by_token(figures: Iterable[Figure], mode: str) -> tuple[list[Figure], set[str]]:
    """Returns the figures to bill, and the keys of usage that they do not bill. Raises Unsupported.

    Leaves out the figures that count the same usage again.
    """
    selected: list[Figure] = []
    others: list[Figure] = []
    for figure in figures:
        is_image = mode == "embedding" and figure.field == "input_cost_per_image"
        billed = figure.field in TOKENS or figure.field in ADDITIONAL or is_image
        (selected if billed else others).append(figure)
    sides = {figure.field.partition("_")[0] for figure in selected if figure.field in TOKENS}
    without = set()
    for figure in others:
        match = DUPLICATE.fullmatch(figure.field)
        if match and f"{match[1]}put" not in sides:
            raise Unsupported(UNCOUNTED)
        if not match or (mode == "embedding" and "character" not in figure.field):
            without.add(figure.field)
    return selected, without


def _by_mode(figures: Iterable[Figure], mode: str) -> tuple[list[Figure], set[str]]:
    """Returns the figures of the first field that the mode is sold by, and the keys that are no such field.

    Raises Unsupported.
    """
    by_field = {figure.field for figure in figures} - ADDITIONAL.keys()
    if not by_field:
        raise Unsupported(NO_PRICE)
    sold_by = SOLD_BY_MODE.get(mode, ())
    field = next((field for field in sold_by if field in by_field), None)
    if field is None:
        raise Unsupported(UNCOUNTED)
    return [figure for figure in figures if figure.field in (field, *ADDITIONAL)], by_field - set(sold_by)


def _rate(figure: Figure, size: ImageSize) -> Rate:
    """Converts a figure to a rate. Raises Unsupported if it is out of range."""
    unit = litellm_keys.UNITS[figure.field]
    times = 1
    if unit == "megapixels":
        unit, times = ("images", size.pixels) if size.pixels else (unit, 1_000_000)
    variant = ",".join(term for term in (size.variant, figure.variant) if term)
    try:
        return Rate(unit, variant, figure.above, nano_per_million(figure.usd, times=times))
    except ValueError as error:
        raise Unsupported(OUT_OF_RANGE) from error
