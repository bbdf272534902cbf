"""Parts of a usage beyond their whole: refused, naming the field."""

from __future__ import annotations

import pytest

from billing.errors import Refused
from billing.events import events, usage_parts
from billing.events.events import Event


def event(usage: dict[str, int], *, included: bool = True) -> Event:
    return events.parse({"event_id": "e", "provider": "openai", "cached_tokens_included": included, "usage": usage})


@pytest.mark.parametrize(
    ("usage", "field", "detail"),
    [
        ({"output_tokens": 9, "reasoning_tokens": 10}, "reasoning_tokens", "reasoning_tokens than output_tokens"),
        ({"output_audio_tokens": 1}, "output_audio_tokens", ""),
        ({"output_tokens": 9, "output_image_tokens": 10}, "output_image_tokens", ""),
        (
            {"output_tokens": 9, "reasoning_tokens": 5, "output_image_tokens": 5},
            "output_image_tokens",
            "More reasoning_tokens and output_image_tokens than output_tokens",
        ),
        (
            {"input_tokens": 9, "cache_write_tokens": 10},
            "cache_write_tokens",
            "More cache_write_tokens than input_tokens",
        ),
        (
            {"input_tokens": 9, "cached_input_tokens": 5, "cache_write_tokens": 5},
            "cache_write_tokens",
            "More cached_input_tokens and cache_write_tokens than input_tokens",
        ),
        ({"input_tokens": 9, "cache_write_1h_tokens": 10}, "cache_write_1h_tokens", ""),
        (
            {"input_tokens": 99, "cache_write_tokens": 10, "cache_write_1h_tokens": 11},
            "cache_write_1h_tokens",
            "cache_write_1h_tokens than cache_write_tokens",
        ),
        ({"input_tokens": 9, "input_audio_tokens": 10}, "input_audio_tokens", ""),
        ({"input_tokens": 9, "image_tokens": 10}, "image_tokens", ""),
        ({"input_tokens": 9, "input_video_tokens": 10}, "input_video_tokens", ""),
        ({"input_tokens": 9, "input_audio_tokens": 5, "input_video_tokens": 5}, "input_video_tokens", ""),
        (
            {"input_tokens": 99, "input_audio_tokens": 50, "cached_input_tokens": 9, "cached_audio_tokens": 10},
            "cached_audio_tokens",
            "cached_audio_tokens than cached_input_tokens",
        ),
        (
            {"input_tokens": 99, "input_audio_tokens": 9, "cached_input_tokens": 50, "cached_audio_tokens": 10},
            "cached_audio_tokens",
            "cached_audio_tokens than input_audio_tokens",
        ),
        (
            {"input_tokens": 99, "image_tokens": 9, "cached_input_tokens": 50, "cached_image_tokens": 10},
            "cached_image_tokens",
            "cached_image_tokens than image_tokens",
        ),
    ],
)
def test_a_part_beyond_its_whole_is_refused(usage: dict[str, int], field: str, detail: str) -> None:
    with pytest.raises(Refused) as refused:
        usage_parts.check(event(usage))
    assert (refused.value.code, refused.value.attr) == ("invalid", f"usage.{field}")
    assert f"{detail}, of which they are a part." in refused.value.detail or not detail


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": 10, "cached_input_tokens": 4, "cache_write_tokens": 6, "cache_write_1h_tokens": 6},
        {"input_tokens": 10, "cache_write_1h_tokens": 10},
        {"output_tokens": 10, "reasoning_tokens": 4, "output_audio_tokens": 3, "output_image_tokens": 3},
        # cached audio that is not stated may be in both counts
        {"input_tokens": 1000, "cached_input_tokens": 600, "input_audio_tokens": 800},
        {"input_tokens": 9, "input_audio_tokens": 9, "cached_input_tokens": 9, "cached_audio_tokens": 9},
        {"input_tokens": 9, "image_tokens": 3, "input_audio_tokens": 3, "input_video_tokens": 3},
    ],
)
def test_parts_that_fit_are_accepted(usage: dict[str, int]) -> None:
    usage_parts.check(event(usage))


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 0, "cached_input_tokens": 400, "cache_write_tokens": 100, "cache_write_1h_tokens": 60},
        {"input_tokens": 1, "cache_write_1h_tokens": 100},
        {"input_tokens": 2, "cached_input_tokens": 8, "image_tokens": 10, "cached_image_tokens": 8},
    ],
)
def test_cached_tokens_that_come_in_addition_fit(usage: dict[str, int]) -> None:
    usage_parts.check(event(usage, included=False))


def test_parts_of_the_input_that_comes_in_addition_are_limited_too() -> None:
    with pytest.raises(Refused) as refused:
        usage_parts.check(event({"input_tokens": 2, "cached_input_tokens": 8, "image_tokens": 11}, included=False))
    assert refused.value.attr == "usage.image_tokens"
