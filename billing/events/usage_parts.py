"""Checks that no part of an event's usage exceeds its whole, as cached tokens the input. Pure.

Costs are calculated from any usage, with parts cut to what is left of their whole; this check says so instead of billing less.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from billing.errors import Refused
from billing.events.events import Event, Usage

# Parts that are no part of each other -> their whole; "input" is input_tokens with what comes in addition to them.
_PARTS = (
    (("cached_input_tokens", "cache_write_tokens"), "input"),
    (("input_audio_tokens", "image_tokens", "input_video_tokens"), "input"),
    (("cached_audio_tokens", "cached_image_tokens"), "cached_input_tokens"),
    (("cached_audio_tokens",), "input_audio_tokens"),
    (("cached_image_tokens",), "image_tokens"),
    (("reasoning_tokens", "output_audio_tokens", "output_image_tokens"), "output_tokens"),
)
_part_counts = attrgetter("cache_write_1h_tokens", *{part for parts, _ in _PARTS for part in parts})


def check(event: Event) -> None:
    """Raises Refused, naming the first part that does not fit into its whole beside the parts before it.

    One-hour cache writes are a part of the cache writes; alone they are the cache writes.
    """
    usage = event.usage
    if not any(_part_counts(usage)):
        return
    if usage.cache_write_tokens and usage.cache_write_1h_tokens > usage.cache_write_tokens:
        raise _refusal("cache_write_1h_tokens", ("cache_write_1h_tokens",), "cache_write_tokens")
    counts = _token_counts(usage, cached_included=event.cached_tokens_included)
    for parts, whole in _PARTS:
        rest = counts[whole]
        for position, part in enumerate(parts, 1):
            rest -= counts[part]
            if rest < 0:
                raise _refusal(_field(part, usage), [name for name in parts[:position] if counts[name]], whole)


def _token_counts(usage: Usage, *, cached_included: bool) -> dict[str, int]:
    """The number of tokens of each part and whole."""
    names = {name for parts, whole in _PARTS for name in (*parts, whole)} - {"input"}
    counts: dict[str, int] = {name: getattr(usage, name) for name in names}
    counts["cache_write_tokens"] = max(usage.cache_write_tokens, usage.cache_write_1h_tokens)
    cached = 0 if cached_included else counts["cached_input_tokens"] + counts["cache_write_tokens"]
    return counts | {"input": usage.input_tokens + cached}


def _field(part: str, usage: Usage) -> str:
    """The field that states the part."""
    is_1h_alone = part == "cache_write_tokens" and not usage.cache_write_tokens
    return "cache_write_1h_tokens" if is_1h_alone else part


def _refusal(field: str, parts: Iterable[str], whole: str) -> Refused:
    whole = "input_tokens" if whole == "input" else whole
    return Refused("invalid", f"More {' and '.join(parts)} than {whole}, of which they are a part.", f"usage.{field}")
