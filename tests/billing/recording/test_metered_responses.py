"""Usage that `call.response` reads from the responses of each vendor, as objects and as dicts, and its cost."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from billing.events.vendor_responses import reading
from billing.models import Account, UsageLog
from billing.recording.metered_call import metered_call


class Modality(Enum):
    TEXT = "TEXT"
    AUDIO = "AUDIO"


OPENAI: dict[str, Any] = {"provider": "openai", "model": "gpt-4o-mini", "category": "text"}
CLAUDE: dict[str, Any] = {"provider": "anthropic", "model": "claude-3-5-sonnet-latest", "category": "text"}
GEMINI: dict[str, Any] = {"provider": "gemini", "model": "gemini-2.5-flash", "category": "text"}
CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 10},
        "completion_tokens_details": {
            "reasoning_tokens": 150,
            "audio_tokens": 20,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 5,
        },
    },
}
CHAT_USAGE = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "cached_input_tokens": 600,
    "input_audio_tokens": 10,
    "reasoning_tokens": 150,
    "output_audio_tokens": 20,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-4o-mini",
    "service_tier": "flex",
    "usage": {
        "input_tokens": 300,
        "input_tokens_details": {"cached_tokens": 100},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 350,
    },
}
RESPONSE_USAGE = {"input_tokens": 300, "cached_input_tokens": 100, "output_tokens": 50, "reasoning_tokens": 30}
EMBEDDINGS = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"embedding": [0.1], "index": 0, "object": "embedding"}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
IMAGES = {
    "created": 1,
    "data": [{"b64_json": "aGk=", "url": None}, {"b64_json": "aGk=", "url": None}],
    "usage": {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
        "output_tokens": 2000,
        "total_tokens": 2050,
    },
}
IMAGES_USAGE = {
    "input_tokens": 50,
    "image_tokens": 40,
    "output_tokens": 2000,
    "output_image_tokens": 2000,
    "images": 2,
}
DALLE = {"created": 1, "data": [{"url": "https://example.test/1.png"}], "usage": None}
TRANSCRIPT = {
    "text": "Hello.",
    "usage": {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"audio_tokens": 12, "text_tokens": 2},
        "output_tokens": 3,
        "total_tokens": 17,
    },
}
TIMED_TRANSCRIPT = {"text": "Hello.", "usage": {"type": "duration", "seconds": 12.3}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-3-5-sonnet-20241022",
    "content": [{"type": "text", "text": "Hi"}],
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 900,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 40,
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
    },
}
MESSAGE_USAGE = {
    "input_tokens": 10,
    "output_tokens": 40,
    "cached_input_tokens": 900,
    "cache_write_tokens": 50,
    "cache_write_1h_tokens": 30,
    "searches": 2,
}
GENERATED = {
    "model_version": "gemini-2.5-flash",
    "candidates": [],
    "usage_metadata": {
        "prompt_token_count": 1000,
        "cached_content_token_count": 400,
        "candidates_token_count": 100,
        "thoughts_token_count": 250,
        "tool_use_prompt_token_count": 60,
        "total_token_count": 1410,
        "prompt_tokens_details": [
            {"modality": "TEXT", "token_count": 700},
            {"modality": "AUDIO", "token_count": 200},
            {"modality": "IMAGE", "token_count": 100},
        ],
        "tool_use_prompt_tokens_details": [{"modality": "IMAGE", "token_count": 60}],
        "candidates_tokens_details": [
            {"modality": Modality.TEXT, "token_count": 90},
            {"modality": Modality.AUDIO, "token_count": 10},
        ],
    },
}
GENERATED_USAGE = {
    "input_tokens": 1060,
    "output_tokens": 350,
    "reasoning_tokens": 250,
    "cached_input_tokens": 400,
    "input_audio_tokens": 200,
    "image_tokens": 160,
    "output_audio_tokens": 10,
}
GENERATED_JSON = {
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {
        "promptTokenCount": 20,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 32,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}],
    },
}
GENERATED_JSON_USAGE = {"input_tokens": 20, "output_tokens": 12, "reasoning_tokens": 7, "input_audio_tokens": 15}
LIVE = {"usage_metadata": {"prompt_token_count": 3, "response_token_count": 4, "thoughts_token_count": None}}
IMAGEN: dict[str, Any] = {"generated_images": [{"image": {}}, {"image": {}}, {"image": {}}]}

RESPONSES = [
    pytest.param(CHAT, CHAT_USAGE, "gpt-4o-mini-2024-07-18", "default", False, id="openai chat"),
    pytest.param(RESPONSE, RESPONSE_USAGE, "gpt-4o-mini", "flex", False, id="openai response"),
    pytest.param(EMBEDDINGS, {"input_tokens": 8}, "text-embedding-3-small", None, False, id="openai embeddings"),
    pytest.param(IMAGES, IMAGES_USAGE, "", None, False, id="openai images"),
    pytest.param(DALLE, {"images": 1}, "", None, False, id="openai image without usage"),
    pytest.param(
        TRANSCRIPT,
        {"input_tokens": 14, "input_audio_tokens": 12, "output_tokens": 3},
        "",
        None,
        False,
        id="openai transcript by tokens",
    ),
    pytest.param(TIMED_TRANSCRIPT, {"seconds": "12.300000"}, "", None, False, id="openai transcript by seconds"),
    pytest.param(MESSAGE, MESSAGE_USAGE, "claude-3-5-sonnet-20241022", "standard", True, id="anthropic message"),
    pytest.param(GENERATED, GENERATED_USAGE, "gemini-2.5-flash", None, False, id="google"),
    pytest.param(GENERATED_JSON, GENERATED_JSON_USAGE, "gemini-2.5-flash", None, False, id="google as JSON"),
    pytest.param(LIVE, {"input_tokens": 3, "output_tokens": 4}, "", None, False, id="google live"),
    pytest.param(IMAGEN, {"images": 3}, "", None, False, id="google images"),
    pytest.param(
        {"type": "response.completed", "response": RESPONSE},
        RESPONSE_USAGE,
        "gpt-4o-mini",
        "flex",
        False,
        id="openai stream",
    ),
    pytest.param(
        {"type": "message_start", "message": MESSAGE},
        MESSAGE_USAGE,
        "claude-3-5-sonnet-20241022",
        "standard",
        True,
        id="anthropic stream",
    ),
]


def as_object(value: Any) -> Any:
    """The response as a client library returns it: nested objects with attributes."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_object(child) for name, child in value.items()})
    return [as_object(child) for child in value] if isinstance(value, list) else value


def reading_of(response: object) -> tuple[Any, str, str | None, bool]:
    result = reading.read_pieces([response])
    return result.usage, result.model, result.variant.get("service_tier"), result.excludes_cached


@pytest.mark.parametrize(("response", "used", "model", "tier", "excludes_cached"), RESPONSES)
def test_a_dict_is_read(response: Any, used: Any, model: str, tier: str | None, excludes_cached: bool) -> None:
    assert reading_of(response) == (used, model, tier, excludes_cached)


@pytest.mark.parametrize(
    ("response", "used", "model", "tier", "excludes_cached"),
    [case for case in RESPONSES if case.id != "google as JSON"],
)
def test_an_object_is_read(response: Any, used: Any, model: str, tier: str | None, excludes_cached: bool) -> None:
    assert reading_of(as_object(response)) == (used, model, tier, excludes_cached)


class RaisingProperty:
    """An object whose attribute raises an exception."""

    @property
    def message(self) -> None:
        raise RuntimeError("not here")


@pytest.mark.parametrize(
    "response",
    [
        None,
        "a text",
        b"bytes",
        5,
        [],
        {},
        object(),
        {"usage": None},
        {"usage": "much"},
        RaisingProperty(),
        {"usage": {"input_tokens": -1, "seconds": -0.5}},
        {"usage": {"seconds": "long"}},
        {"usage": {"seconds": Decimal("NaN")}},
        {"usage": {"seconds": 1e300}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 1.5, "input_tokens": "7"}},
        {"usage_metadata": {"prompt_token_count": None}},
        {"data": [{"embedding": []}, None, 3]},
    ],
)
def test_a_response_without_valid_usage_reads_as_empty(response: object) -> None:
    assert reading_of(response) == ({}, "", None, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "response", "nano"),
    [
        (OPENAI, CHAT, 1000 * 150 + 200 * 600),
        (OPENAI, {**RESPONSE, "service_tier": "default"}, 300 * 150 + 50 * 600),
        (CLAUDE, MESSAGE, (10 + 50 + 900) * 3_000 + 40 * 15_000),
        (GEMINI, GENERATED, 1060 * 300 + 350 * 2_500),
        (GEMINI, GENERATED_JSON, 20 * 300 + 12 * 2_500),
        (
            {"provider": "image", "model": "qwen-image", "category": "image", "served_by": "wavespeed"},
            IMAGES,
            2 * 30_000_000,
        ),
        ({"provider": "video", "model": "hunyuan-video-1.5", "served_by": "wavespeed"}, TIMED_TRANSCRIPT, 246_000_000),
    ],
)
def test_usage_read_from_a_response_is_priced(
    account: Account, fields: dict[str, Any], response: Any, nano: int
) -> None:
    with metered_call(account="acct_42", reserve=False, **fields) as call:
        call.response(response)

    log = UsageLog.objects.get()
    assert call.result is not None
    assert (call.result.cost_nano, log.cost_total, log.model_used) == (nano, nano, fields["model"])


@pytest.mark.django_db
def test_whether_input_includes_cached_tokens_is_stored(account: Account) -> None:
    for fields, response in ((CLAUDE, MESSAGE), (OPENAI, CHAT)):
        with metered_call(account="acct_42", reserve=False, **fields) as call:
            call.response(response)
    stored = UsageLog.objects.order_by("id").values_list("cached_included", "tokens_total", "tokens_cached", "variant")
    assert list(stored) == [(False, 1000, 900, {}), (True, 1200, 600, {})]


@pytest.mark.django_db
def test_the_response_sets_the_model_and_the_tier_unless_the_caller_does(account: Account) -> None:
    with metered_call(account="acct_42", provider="openai", reserve=False) as call:
        call.response(RESPONSE)
    with metered_call(account="acct_42", provider="openai", reserve=False, variant={"service_tier": "batch"}) as call:
        call.response(RESPONSE)
        call.model("gpt-4o")
    stored = UsageLog.objects.order_by("id").values_list("model_used", "variant")
    assert list(stored) == [("gpt-4o-mini", {"service_tier": "flex"}), ("gpt-4o", {"service_tier": "batch"})]


@pytest.mark.django_db
def test_the_last_token_count_in_a_stream_is_used(account: Account) -> None:
    start = {"usage": {**MESSAGE["usage"], "output_tokens": 1}}  # type: ignore[dict-item]  # a mapping of mappings
    events = [{"type": "message_start", "message": start}, {"type": "content_block_delta"}]
    with metered_call(account="acct_42", reserve=False, **CLAUDE) as call:
        for event in [*events, {"type": "message_delta", "usage": {"output_tokens": 40}}, {"type": "message_stop"}]:
            call.response(as_object(event))

    log = UsageLog.objects.get()
    assert (log.tokens_input, log.tokens_cached, log.tokens_output, log.cached_included) == (10, 900, 40, False)


@pytest.mark.django_db
def test_a_response_without_usage_is_unpriced_and_not_free(account: Account) -> None:
    with metered_call(account="acct_42", reserve=False, **OPENAI) as call:
        call.response({"choices": []})
    assert call.result is not None
    assert (call.result.status, call.result.priced, call.result.cost_nano) == ("accepted", False, None)
