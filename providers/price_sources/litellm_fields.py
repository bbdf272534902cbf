"""Converts the price fields of a LiteLLM entry to rates, choosing one of several ways to count.

An entry may state one price in several ways (per token, character or image). Token prices are preferred, then the unit
that the model's mode is sold by. Zero may also mean "not known" there, so a zero is never a price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from providers.costing import Rate
from providers.price_sources import nano_per_million

TOKENS = {
    "input_cost_per_token": "input_tokens",
    "cache_read_input_token_cost": "cached_input_tokens",
    "input_cost_per_token_cache_hit": "cached_input_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "input_cost_per_image_token": "image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "cache_read_input_audio_token_cost": "cached_audio_tokens",
    "cache_read_input_image_token_cost": "cached_image_tokens",
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_image_token": "output_image_tokens",
}
MEASURES = {
    "input_cost_per_character": "characters",
    "input_cost_per_image": "images",
    "input_cost_per_pixel": "megapixels",
    "input_cost_per_query": "searches",
    "input_cost_per_second": "seconds",
    "ocr_cost_per_page": "pages",
    "output_cost_per_image": "images",
    "output_cost_per_pixel": "megapixels",
    "output_cost_per_second": "seconds",
    "output_cost_per_video_per_second": "seconds",
}
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
SEARCHES = "search_context_cost_per_query"
_SIZE_PREFIX = "search_context_size_"
# Billed in addition to tokens, if an event counts it.
ADDITIONAL = {"input_cost_per_request": "requests", SEARCHES: "searches"}
OMITTED = {
    "annotation_cost_per_page": "proposed without: annotated pages",
    "cache_creation_input_audio_token_cost": "proposed without: a separate rate for audio tokens written to the cache",
}
SERVICE_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex"}
TWICE = "proposed per token, without: a second way to count the same usage"
NO_PRICE = "no price above zero"
UNCOUNTED = "a unit that events do not count"
OUT_OF_RANGE = "a price out of range"
TWO_RATES = "two rates for one unit"

_FIELD = re.compile(r"(.+?)(?:_above_(\d{1,9})k_tokens)?(?:_(\d{3,4}p))?(?:_(batches|priority|flex))?")
_DUPLICATE_FIELD = re.compile(r"(in|out)put_cost_per_(?:audio_per_|video_per_)?(?:second|character|image|pixel)")
_IN_ANOTHER_CURRENCY = re.compile(r"(?:in|out)put_dbu_cost_per_token")


class Unsupported(Exception):
    """This entry cannot be imported; the argument is the reason."""


class ImageSize(NamedTuple):
    """The size in an image model's id ("hd/1024-x-1792/dall-e-3"): its variant, and the pixels of an image."""

    variant: str = ""
    pixels: int = 0


class _Figure(NamedTuple):
    """A price above zero; `field` is the name without threshold, resolution and service tier."""

    field: str
    variant: str
    above: int
    usd: Decimal


def rates(fields: Mapping[str, Any], mode: str, size: ImageSize) -> tuple[set[Rate], set[str]]:
    """Returns the rates of one entry, and the reasons for what is left out. Raises Unsupported."""
    figures = list(_figures(fields))
    reasons = {OMITTED[figure.field] for figure in figures if figure.field in OMITTED}
    priced = [figure for figure in figures if figure.field not in OMITTED]
    if any(figure.field in TOKENS for figure in priced):
        selected, duplicates = _by_token(priced, mode)
        reasons |= {TWICE} if duplicates else set()
    else:
        selected = _by_mode(priced, mode)
    rates = {_rate(figure, size) for figure in selected}
    if len({(rate.unit, rate.variant, rate.above) for rate in rates}) < len(rates):
        raise Unsupported(TWO_RATES)
    return rates, reasons


def _figures(fields: Mapping[str, Any]) -> Iterator[_Figure]:
    for name, value in fields.items():
        if name == "tiered_pricing":
            yield from _tiered(value)
        elif name == SEARCHES:
            yield from _search_figures(value)
        elif "cost" in name and not _IN_ANOTHER_CURRENCY.fullmatch(name):
            yield from _figure(name, value, 0)


def _figure(name: str, value: object, above: int) -> Iterator[_Figure]:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unsupported(OUT_OF_RANGE)
    match = _FIELD.fullmatch(name)
    if value and match:
        field, thousands, resolution, tier = match.groups()
        terms = [f"resolution={resolution}"] if resolution else []
        terms += [f"service_tier={SERVICE_TIERS[tier]}"] if tier else []
        yield _Figure(field, ",".join(terms), above or int(thousands or 0) * 1000, Decimal(value))


def _tiered(tiers: object) -> Iterator[_Figure]:
    """Yields the prices of a list of tiers, each with a range of input tokens; it applies above the lower bound."""
    for tier in tiers if isinstance(tiers, list) else [tiers]:
        if not isinstance(tier, dict) or not isinstance(bounds := tier.get("range"), list):
            raise Unsupported(UNCOUNTED)
        if not bounds or not _is_count(bounds[0]):
            raise Unsupported(UNCOUNTED)
        for name, value in tier.items():
            if name != "range":
                yield from _figure(name, value, int(bounds[0]))


def _is_count(value: object) -> bool:
    return isinstance(value, int | Decimal) and 0 <= value < 10**12 and value == int(value)


def _search_figures(by_size: object) -> Iterator[_Figure]:
    """Yields the price of one search, or those by context size if they differ (medium: as usual). Raises Unsupported."""
    prices = by_size if isinstance(by_size, dict) else {}
    if not all(isinstance(usd, int | Decimal) for usd in prices.values()):
        raise Unsupported(OUT_OF_RANGE)
    same = len(set(prices.values())) == 1
    for name, usd in list(prices.items())[: 1 if same else None]:
        size = name.removeprefix(_SIZE_PREFIX)
        if usd:
            variant = "" if same or size == "medium" else f"search_context={size}"
            yield _Figure(SEARCHES, variant, 0, Decimal(usd))


def _by_token(figures: Iterable[_Figure], mode: str) -> tuple[list[_Figure], list[_Figure]]:
    """Splits the figures into those to bill, and those that count the same usage again. Raises Unsupported."""
    selected: list[_Figure] = []
    duplicates: list[_Figure] = []
    for figure in figures:
        is_image = mode == "embedding" and figure.field == "input_cost_per_image"
        billed = figure.field in TOKENS or figure.field in ADDITIONAL or is_image
        (selected if billed else duplicates).append(figure)
    sides = {figure.field.partition("_")[0] for figure in selected if figure.field in TOKENS}
    for figure in duplicates:
        match = _DUPLICATE_FIELD.fullmatch(figure.field)
        if not match or f"{match[1]}put" not in sides or (mode == "embedding" and "character" not in figure.field):
            raise Unsupported(UNCOUNTED)
    return selected, duplicates


def _by_mode(figures: Iterable[_Figure], mode: str) -> list[_Figure]:
    """Returns the figures of the first field that the mode is sold by. Raises Unsupported."""
    by_field = {figure.field for figure in figures} - ADDITIONAL.keys()
    if not by_field:
        raise Unsupported(NO_PRICE)
    field = next((field for field in SOLD_BY_MODE.get(mode, ()) if field in by_field), None)
    if field is None or not by_field <= set(SOLD_BY_MODE[mode]):
        raise Unsupported(UNCOUNTED)
    return [figure for figure in figures if figure.field in (field, *ADDITIONAL)]


def _rate(figure: _Figure, size: ImageSize) -> Rate:
    """Converts a figure to a rate. Raises Unsupported if it is out of range."""
    unit = (TOKENS | MEASURES | ADDITIONAL)[figure.field]
    times = 1
    if unit == "megapixels":
        unit, times = ("images", size.pixels) if size.pixels else (unit, 1_000_000)
    variant = ",".join(term for term in (size.variant, figure.variant) if term)
    try:
        return Rate(unit, variant, figure.above, nano_per_million(figure.usd, times=times))
    except ValueError as error:
        raise Unsupported(OUT_OF_RANGE) from error
