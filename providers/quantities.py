"""The usage of one call as costing counts it: units, their parts, and how much of a unit a call used. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

MICRO = 1_000_000
MICRO_UNITS = frozenset({"seconds", "megapixels"})  # decimals with up to six places, stored as integer millionths
IMAGE_CATEGORIES = ("image", "image_edit")
CATEGORIES_BY_UNIT = {"images": IMAGE_CATEGORIES, "searches": ("search",), "pages": ("crawl",)}
# Parts of the cached tokens that are also a part of these.
CACHED_PARTS = {"cached_audio_tokens": "input_audio_tokens", "cached_image_tokens": "image_tokens"}
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
    utc_minute: int | None = None  # of the day on which the call was made


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


def has_unsplit_output(quantities: Quantities) -> bool:
    """Tells whether a call made images beside text, but does not state how many of its output tokens are image tokens."""
    is_stated = quantities.output_image_tokens or not quantities.output_tokens
    return bool(quantities.images) and not is_stated and quantities.category not in IMAGE_CATEGORIES


def counter_of(unit: str, rated: Container[str]) -> Callable[[Quantities], int]:
    """Returns a function that reads how much of a unit a call used."""
    if unit == "cache_write_tokens":
        return _short_cache_writes if "cache_write_1h_tokens" in rated else _cache_writes
    if unit == "cached_input_tokens":
        return _without(unit, [part for part in CACHED_PARTS if part in rated])
    if unit in CACHED_PARTS.values():
        part = next(part for part, whole in CACHED_PARTS.items() if whole == unit)
        return _without(unit, [part] if part in rated or "cached_input_tokens" in rated else [])
    if unit == "output_image_tokens":
        return _output_image_tokens
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


def _output_image_tokens(quantities: Quantities) -> int:
    """Returns the image tokens of the output; all of it in a call for images that does not state them apart."""
    stated = quantities.output_image_tokens
    return quantities.output_tokens if not stated and quantities.category in IMAGE_CATEGORIES else stated


def _cache_writes(quantities: Quantities) -> int:
    """Returns the cache-write tokens. They include the one-hour ones, even if a caller reports only those."""
    return max(quantities.cache_write_tokens, quantities.cache_write_1h_tokens)


def _short_cache_writes(quantities: Quantities) -> int:
    return _cache_writes(quantities) - quantities.cache_write_1h_tokens
