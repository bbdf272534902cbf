"""Reads the usage in a vendor's response as fields of a usage event. Pure.

Takes responses and stream chunks of the OpenAI, Anthropic and Google clients, as objects or dicts; imports none of the
clients. A missing count is left out, never estimated. Sources: OpenAI's `usage` of chat completions, responses, embeddings,
images and transcriptions; Anthropic's `usage` of messages; Google's `usageMetadata` of generateContent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple

from billing.events import events

UsageFields = dict[str, int | str]

MICRO = Decimal("0.000001")  # the precision of an event's seconds
DEFAULT_TIERS = ("default", "auto", "standard", "on_demand")  # tiers at the standard price
PROMPT_DETAILS = ("prompt_tokens_details", "tool_use_prompt_tokens_details")


class ResponseUsage(NamedTuple):
    """Quantities by the field names of a usage event, with the model and the tier if the response has them.

    `excludes_cached`: cached tokens are reported in addition to the input tokens.
    """

    usage: UsageFields
    model: str = ""
    service_tier: str | None = None
    excludes_cached: bool = False


def read_usage(response: object) -> ResponseUsage:
    """The usage in a response or stream chunk; empty if it has none."""
    for holder in (response, _get(response, "message"), _get(response, "response")):  # streams wrap the response
        usage, metadata = _get(holder, "usage"), _get(holder, "usage_metadata")
        fields = _google(metadata) if metadata is not None else _tokens(usage)
        fields |= _images(holder)
        if fields:
            return ResponseUsage(fields, _model(holder), _tier(holder, usage), _excludes_cached(usage))
    return ResponseUsage({})


def _tokens(usage: object) -> UsageFields:
    if _excludes_cached(usage):
        return _anthropic(usage)
    return _openai_chat(usage) if _count(usage, "prompt_tokens") is not None else _openai(usage)


def _openai_chat(usage: object) -> UsageFields:
    """Chat completions and embeddings; prompt and completion include cached and reasoning tokens."""
    prompt, completion = _get(usage, "prompt_tokens_details"), _get(usage, "completion_tokens_details")
    return _present(
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        cached_input_tokens=_count(prompt, "cached_tokens"),
        input_audio_tokens=_count(prompt, "audio_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
        output_audio_tokens=_count(completion, "audio_tokens"),
    )


def _openai(usage: object) -> UsageFields:
    """Responses, images, transcriptions (by tokens or by seconds) and realtime audio."""
    inputs = _first(usage, "input_tokens_details", "input_token_details")
    outputs = _first(usage, "output_tokens_details", "output_token_details")
    return _present(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cached_input_tokens=_count(inputs, "cached_tokens"),
        input_audio_tokens=_count(inputs, "audio_tokens"),
        image_tokens=_count(inputs, "image_tokens"),
        reasoning_tokens=_count(outputs, "reasoning_tokens"),
        output_audio_tokens=_count(outputs, "audio_tokens"),
        seconds=_seconds(_get(usage, "seconds")),
    )


def _anthropic(usage: object) -> UsageFields:
    """The input tokens exclude cached and cache-write tokens."""
    return _present(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cached_input_tokens=_count(usage, "cache_read_input_tokens"),
        cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
        cache_write_1h_tokens=_count(_get(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
        searches=_count(_get(usage, "server_tool_use"), "web_search_requests"),
    )


def _google(metadata: object) -> UsageFields:
    """Candidates exclude thoughts, and the prompt excludes tool use; the prompt includes cached tokens."""
    answer = _sum(_count(metadata, "candidates_token_count"), _count(metadata, "response_token_count"))
    thoughts = _count(metadata, "thoughts_token_count")
    prompt = [part for name in PROMPT_DETAILS for part in _list(_get(metadata, name))]
    return _present(
        input_tokens=_sum(_count(metadata, "prompt_token_count"), _count(metadata, "tool_use_prompt_token_count")),
        output_tokens=_sum(answer, thoughts),
        reasoning_tokens=thoughts,
        cached_input_tokens=_count(metadata, "cached_content_token_count"),
        input_audio_tokens=_modality_tokens(prompt, "AUDIO"),
        image_tokens=_modality_tokens(prompt, "IMAGE"),
        output_audio_tokens=_modality_tokens(_list(_get(metadata, "candidates_tokens_details")), "AUDIO"),
    )


def _images(response: object) -> UsageFields:
    """The number of images in the response."""
    data = [item for item in _list(_get(response, "data")) if _first(item, "b64_json", "url") is not None]
    return _present(images=len(data) + len(_list(_get(response, "generated_images"))) or None)


def _excludes_cached(usage: object) -> bool:
    return any(_get(usage, name) is not None for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))


def _model(response: object) -> str:
    model = _first(response, "model", "model_version")
    return model if isinstance(model, str) else ""


def _tier(response: object, usage: object) -> str | None:
    tier = _first(response, "service_tier")
    tier = _first(usage, "service_tier") if tier is None else tier
    return tier if isinstance(tier, str) and tier not in DEFAULT_TIERS else None


def _get(holder: object, name: str) -> Any:  # noqa: ANN401 - any value of a response
    """A field of an object or dict; a dict may spell it in camel case, as Google's JSON does."""
    if not isinstance(holder, Mapping):
        try:
            return getattr(holder, name, None)
        except Exception:  # a client's property may raise anything, and the call has already been made
            return None
    first, *words = name.split("_")
    return holder.get(name, holder.get(first + "".join(map(str.capitalize, words))))


def _first(holder: object, *names: str) -> Any:  # noqa: ANN401
    return next((value for name in names if (value := _get(holder, name)) is not None), None)


def _count(holder: object, name: str) -> int | None:
    value = _get(holder, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _sum(*counts: int | None) -> int | None:
    present = [count for count in counts if count is not None]
    return sum(present) if present else None


def _seconds(value: object) -> str | None:
    """The seconds as a decimal text; the shortest form of a client's float is the number that the vendor sent."""
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        return None
    in_range = exact.is_finite() and 0 <= exact <= events.MAX_COUNT
    return f"{exact.quantize(MICRO, ROUND_HALF_EVEN):f}" if in_range else None


def _modality_tokens(parts: Iterable[object], name: str) -> int | None:
    """The tokens of one modality, which is a string or an enum member."""
    counts = ((_get(part, "modality"), _count(part, "token_count")) for part in parts)
    return _sum(*(count for modality, count in counts if getattr(modality, "value", modality) == name))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _present(**fields: int | str | None) -> UsageFields:
    return {name: value for name, value in fields.items() if value is not None}
