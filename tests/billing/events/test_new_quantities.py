"""The quantities and variant fields of the second round: normal form, and digests of older events."""

from __future__ import annotations

from typing import Any

import pytest

from billing.errors import Refused
from billing.events import events

OLD_EVENT: dict[str, Any] = {
    "event_id": "old-1",
    "account": "acct_42",
    "provider": "openai",
    "model": "gpt-4o",
    "endpoint": "https://api.openai.com/v1/chat/completions",
    "occurred_at": "2026-11-22T09:30:00Z",
    "usage": {
        "input_tokens": 1200,
        "output_tokens": 350,
        "cached_input_tokens": 1000,
        "cache_write_1h_tokens": 7,
        "reasoning_tokens": 50,
        "input_audio_tokens": 3,
        "output_audio_tokens": 2,
        "image_tokens": 1,
        "requests": 2,
        "images": 1,
        "megapixels": "1.5",
        "seconds": "2.25",
        "characters": 9,
        "searches": 3,
        "pages": 4,
    },
    "variant": {"resolution": "720p", "quality": "hd", "service_tier": "batch"},
}
OLD_DIGEST = "28ff0d0cdc5f5c92b29b9f84dfc058e4"  # of the release before these fields
COUNTS = ("output_image_tokens", "cached_audio_tokens", "cached_image_tokens", "input_video_tokens")
OTHERS = ("web_fetches", "sessions")
VARIANT = ("region", "speed", "inference_geo", "search_context", "context")


def digest(**changed: Any) -> str:
    return events.digest(events.parse(OLD_EVENT | changed)).hex()


def test_the_digest_of_an_older_event_is_unchanged() -> None:
    assert digest() == OLD_DIGEST


@pytest.mark.parametrize("field", COUNTS)
def test_a_new_count_enters_the_digest_unless_it_is_zero(field: str) -> None:
    assert digest(usage=OLD_EVENT["usage"] | {field: 0}) == OLD_DIGEST
    assert digest(usage=OLD_EVENT["usage"] | {field: 1}) != OLD_DIGEST


@pytest.mark.parametrize("field", OTHERS)
def test_a_new_quantity_enters_the_digest_if_it_is_stated(field: str) -> None:
    assert digest(usage=OLD_EVENT["usage"] | {field: None}) == OLD_DIGEST
    assert digest(usage=OLD_EVENT["usage"] | {field: 0}) != OLD_DIGEST


@pytest.mark.parametrize("field", VARIANT)
def test_a_new_variant_field_enters_the_digest_if_it_is_stated(field: str) -> None:
    assert digest(variant=OLD_EVENT["variant"] | {field: None}) == OLD_DIGEST
    assert digest(variant=OLD_EVENT["variant"] | {field: "x"}) != OLD_DIGEST


@pytest.mark.parametrize("field", VARIANT)
def test_a_new_variant_field_holds_no_text_that_a_database_refuses(field: str) -> None:
    with pytest.raises(Refused) as refused:
        events.parse(OLD_EVENT | {"variant": {field: "a\x00b"}})
    assert (refused.value.code, refused.value.attr) == ("invalid", f"variant.{field}")
    with pytest.raises(Refused) as refused:
        events.parse(OLD_EVENT | {"variant": {field: "x" * 61}})
    assert (refused.value.code, refused.value.attr) == ("max_length", f"variant.{field}")
