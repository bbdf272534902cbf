"""Which of our units each price field of a LiteLLM entry is, and which of several ways to count is taken. litellm.py asks.

An entry states one price in several ways at once (by token, by character, by image). Tokens are taken where they have a
price, otherwise what the model's mode sells. Zero is written there also for "not known", so a zero is never a price.
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
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
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
_PICTURES = ("output_cost_per_image", "input_cost_per_image", "input_cost_per_pixel", "output_cost_per_pixel")
# What a mode sells where tokens have no price: the first of these fields that has one.
SOLD = {
    "audio_speech": ("input_cost_per_character", "output_cost_per_second"),
    "audio_transcription": ("input_cost_per_second", "output_cost_per_second"),
    "image_edit": _PICTURES,
    "image_generation": _PICTURES,
    "ocr": ("ocr_cost_per_page",),
    "realtime": ("input_cost_per_second", "output_cost_per_second"),
    "rerank": ("input_cost_per_query",),
    "search": ("input_cost_per_query",),
    "video_generation": ("output_cost_per_video_per_second", "output_cost_per_second"),
}
SEARCHES = "search_context_cost_per_query"
# What bills beside the tokens, where an event counts it.
ADDED = {"input_cost_per_request": "requests", SEARCHES: "searches"}
BESIDE = {
    "annotation_cost_per_page": "offered without: annotated pages",
    "cache_creation_input_audio_token_cost": "offered without: a rate of its own for cached audio tokens",
    "cache_read_input_audio_token_cost": "offered without: a rate of its own for cached audio tokens",
}
SERVICE_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex"}
BY_CONTEXT = "offered without: searches priced by the size of their context"
TWICE = "offered by the token: the same counted in a second way"
NO_PRICE = "no price above zero"
UNCOUNTED = "a unit that an event does not count"
OUT_OF_RANGE = "a figure that no rate holds"
TWO_RATES = "two rates for one unit"

_FIELD = re.compile(r"(.+?)(?:_above_(\d{1,9})k_tokens)?(?:_(\d{3,4}p))?(?:_(batches|priority|flex))?")
_SECOND_WAY = re.compile(r"(in|out)put_cost_per_(?:audio_per_|video_per_)?(?:second|character|image|pixel)")
_IN_ANOTHER_CURRENCY = re.compile(r"(?:in|out)put_dbu_cost_per_token")


class Refused(Exception):
    """This entry cannot be taken over; the argument is the reason."""


class Size(NamedTuple):
    """What the id of an image model says ("hd/1024-x-1792/dall-e-3"): a variant, and how many pixels an image has."""

    variant: str = ""
    pixels: int = 0


class _Figure(NamedTuple):
    """A price above zero: its field without what the name says on threshold, resolution and service tier."""

    field: str
    variant: str
    above: int
    usd: Decimal


def rates(fields: Mapping[str, Any], mode: str, size: Size) -> tuple[set[Rate], set[str]]:
    """The rates of one entry, and what is offered without. Raises Refused."""
    figures = list(_figures(fields))
    notes = {BESIDE[figure.field] for figure in figures if figure.field in BESIDE}
    if _by_context(fields):
        notes.add(BY_CONTEXT)
    priced = [figure for figure in figures if figure.field not in BESIDE]
    if any(figure.field in TOKENS for figure in priced):
        taken, left = _by_token(priced, mode)
        notes |= {TWICE} if left else set()
    else:
        taken = _as_sold(priced, mode)
    found = {_rate(figure, size) for figure in taken}
    if len({(rate.unit, rate.variant, rate.above) for rate in found}) < len(found):
        raise Refused(TWO_RATES)
    return found, notes


def _figures(fields: Mapping[str, Any]) -> Iterator[_Figure]:
    for name, value in fields.items():
        if name == "tiered_pricing":
            yield from _tiered(value)
        elif name == SEARCHES:
            yield from _figure(SEARCHES, 0 if _by_context(fields) else max(_sizes(fields), default=0), 0)
        elif "cost" in name and not _IN_ANOTHER_CURRENCY.fullmatch(name):
            yield from _figure(name, value, 0)


def _figure(name: str, value: object, above: int) -> Iterator[_Figure]:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Refused(OUT_OF_RANGE)
    matched = _FIELD.fullmatch(name)
    if value and matched:
        field, thousands, resolution, tier = matched.groups()
        terms = [f"resolution={resolution}"] if resolution else []
        terms += [f"service_tier={SERVICE_TIERS[tier]}"] if tier else []
        yield _Figure(field, ",".join(terms), above or int(thousands or 0) * 1000, Decimal(value))


def _tiered(tiers: object) -> Iterator[_Figure]:
    """A list of prices, each with the range of input tokens that it is for: it begins above the range's lower end."""
    for tier in tiers if isinstance(tiers, list) else [tiers]:
        if not isinstance(tier, dict) or not isinstance(bounds := tier.get("range"), list):
            raise Refused(UNCOUNTED)
        if not bounds or not _is_count(bounds[0]):
            raise Refused(UNCOUNTED)
        for name, value in tier.items():
            if name != "range":
                yield from _figure(name, value, int(bounds[0]))


def _is_count(value: object) -> bool:
    return isinstance(value, int | Decimal) and 0 <= value < 10**12 and value == int(value)


def _sizes(fields: Mapping[str, Any]) -> set[Decimal]:
    """What one search costs, by the size of its context."""
    stated = fields.get(SEARCHES)
    found = list(stated.values()) if isinstance(stated, dict) else []
    if not all(isinstance(usd, int | Decimal) for usd in found):
        raise Refused(OUT_OF_RANGE)
    return {Decimal(usd) for usd in found}


def _by_context(fields: Mapping[str, Any]) -> bool:
    return len(_sizes(fields)) > 1


def _by_token(figures: Iterable[_Figure], mode: str) -> tuple[list[_Figure], list[_Figure]]:
    """The figures that bill beside each other, and those that count the same a second time. Raises Refused."""
    taken: list[_Figure] = []
    rest: list[_Figure] = []
    for figure in figures:
        is_picture = mode == "embedding" and figure.field == "input_cost_per_image"
        known = figure.field in TOKENS or figure.field in ADDED or is_picture
        (taken if known else rest).append(figure)
    sides = {figure.field.partition("_")[0] for figure in taken if figure.field in TOKENS}
    for figure in rest:
        way = _SECOND_WAY.fullmatch(figure.field)
        if not way or f"{way[1]}put" not in sides or (mode == "embedding" and "character" not in figure.field):
            raise Refused(UNCOUNTED)
    return taken, rest


def _as_sold(figures: Iterable[_Figure], mode: str) -> list[_Figure]:
    """The figures of the first field by which the mode is sold. Raises Refused."""
    by_field = {figure.field for figure in figures} - ADDED.keys()
    if not by_field:
        raise Refused(NO_PRICE)
    field = next((field for field in SOLD.get(mode, ()) if field in by_field), None)
    if field is None or not by_field <= set(SOLD[mode]):
        raise Refused(UNCOUNTED)
    return [figure for figure in figures if figure.field in (field, *ADDED)]


def _rate(figure: _Figure, size: Size) -> Rate:
    """Raises Refused where no rate holds the figure."""
    unit = (TOKENS | MEASURES | ADDED)[figure.field]
    times = 1
    if unit == "megapixels":
        unit, times = ("images", size.pixels) if size.pixels else (unit, 1_000_000)
    variant = ",".join(term for term in (size.variant, figure.variant) if term)
    try:
        return Rate(unit, variant, figure.above, nano_per_million(figure.usd, times=times))
    except ValueError as error:
        raise Refused(OUT_OF_RANGE) from error
