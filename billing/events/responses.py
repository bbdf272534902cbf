"""What a vendor's response says was used, as the fields of a usage event. Pure; asked by metered calls.

Reads the objects of the OpenAI, Anthropic and Google clients, the pieces of their streams, and the same as dicts, by the
names of their fields: no client library is imported. A count that a response does not tell is left out, never made up.
Sources: OpenAI's `usage` of chat completions, responses, embeddings, images and transcriptions; Anthropic's `usage` of
messages; Google's `usageMetadata` of generateContent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple

from billing.events import events

Amounts = dict[str, int | str]

MICRO = Decimal("0.000001")  # as many places as an event's seconds have
USUAL_TIERS = ("default", "auto", "standard", "on_demand")  # what is served when nobody asks for another tier
PROMPT = ("prompt_tokens_details", "tool_use_prompt_tokens_details")


class Reading(NamedTuple):
    """What was found: quantities by the names of a usage event, and where it is told the model and the tier.

    `cached_apart`: the input tokens do not hold the cached ones.
    """

    usage: Amounts
    model: str = ""
    service_tier: str | None = None
    cached_apart: bool = False


def read(response: object) -> Reading:
    """What a response, or one piece of a stream, says; an empty reading where that is nothing."""
    for holder in (response, _get(response, "message"), _get(response, "response")):  # streams wrap the response
        usage, metadata = _get(holder, "usage"), _get(holder, "usage_metadata")
        found = _google(metadata) if metadata is not None else _counted(usage)
        found |= _images(holder)
        if found:
            return Reading(found, _model(holder), _tier(holder, usage), _cached_apart(usage))
    return Reading({})


def _counted(usage: object) -> Amounts:
    if _cached_apart(usage):
        return _anthropic(usage)
    return _openai_chat(usage) if _count(usage, "prompt_tokens") is not None else _openai(usage)


def _openai_chat(usage: object) -> Amounts:
    """Chat completions and embeddings; cached and reasoning tokens are parts of the prompt and the completion."""
    prompt, completion = _get(usage, "prompt_tokens_details"), _get(usage, "completion_tokens_details")
    return _told(
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        cached_input_tokens=_count(prompt, "cached_tokens"),
        input_audio_tokens=_count(prompt, "audio_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
        output_audio_tokens=_count(completion, "audio_tokens"),
    )


def _openai(usage: object) -> Amounts:
    """Responses, images, transcriptions (by tokens, or by seconds) and live audio."""
    given = _first(usage, "input_tokens_details", "input_token_details")
    made = _first(usage, "output_tokens_details", "output_token_details")
    return _told(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cached_input_tokens=_count(given, "cached_tokens"),
        input_audio_tokens=_count(given, "audio_tokens"),
        image_tokens=_count(given, "image_tokens"),
        reasoning_tokens=_count(made, "reasoning_tokens"),
        output_audio_tokens=_count(made, "audio_tokens"),
        seconds=_seconds(_get(usage, "seconds")),
    )


def _anthropic(usage: object) -> Amounts:
    """Cached and cache-write tokens stand beside the input tokens."""
    return _told(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cached_input_tokens=_count(usage, "cache_read_input_tokens"),
        cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
        cache_write_1h_tokens=_count(_get(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
        searches=_count(_get(usage, "server_tool_use"), "web_search_requests"),
    )


def _google(metadata: object) -> Amounts:
    """Thinking stands beside the candidates, and what tools put in beside the prompt; the cached is in the prompt."""
    answer = _sum(_count(metadata, "candidates_token_count"), _count(metadata, "response_token_count"))
    thoughts = _count(metadata, "thoughts_token_count")
    prompt = [part for name in PROMPT for part in _list(_get(metadata, name))]
    return _told(
        input_tokens=_sum(_count(metadata, "prompt_token_count"), _count(metadata, "tool_use_prompt_token_count")),
        output_tokens=_sum(answer, thoughts),
        reasoning_tokens=thoughts,
        cached_input_tokens=_count(metadata, "cached_content_token_count"),
        input_audio_tokens=_of_modality(prompt, "AUDIO"),
        image_tokens=_of_modality(prompt, "IMAGE"),
        output_audio_tokens=_of_modality(_list(_get(metadata, "candidates_tokens_details")), "AUDIO"),
    )


def _images(response: object) -> Amounts:
    """How many pictures the response holds."""
    data = [one for one in _list(_get(response, "data")) if _first(one, "b64_json", "url") is not None]
    return _told(images=len(data) + len(_list(_get(response, "generated_images"))) or None)


def _cached_apart(usage: object) -> bool:
    return any(_get(usage, name) is not None for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))


def _model(response: object) -> str:
    found = _first(response, "model", "model_version")
    return found if isinstance(found, str) else ""


def _tier(response: object, usage: object) -> str | None:
    found = _first(response, "service_tier")
    found = _first(usage, "service_tier") if found is None else found
    return found if isinstance(found, str) and found not in USUAL_TIERS else None


def _get(holder: object, name: str) -> Any:  # noqa: ANN401 - whatever a response holds
    """A field of an object or a dict; as JSON, Google spells it `promptTokenCount`."""
    if not isinstance(holder, Mapping):
        try:
            return getattr(holder, name, None)
        except Exception:  # a property of somebody else's object may raise anything, and the call has run
            return None
    first, *words = name.split("_")
    return holder.get(name, holder.get(first + "".join(map(str.capitalize, words))))


def _first(holder: object, *names: str) -> Any:  # noqa: ANN401
    return next((value for name in names if (value := _get(holder, name)) is not None), None)


def _count(holder: object, name: str) -> int | None:
    value = _get(holder, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _sum(*counts: int | None) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def _seconds(value: object) -> str | None:
    """Clients hand out a binary fraction; its shortest decimal form is what the vendor sent."""
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        return None
    counts = exact.is_finite() and 0 <= exact <= events.COUNT
    return f"{exact.quantize(MICRO, ROUND_HALF_EVEN):f}" if counts else None


def _of_modality(parts: Iterable[object], name: str) -> int | None:
    """The tokens of one kind; a modality is a word, or an enumeration of words."""
    kinds = ((_get(part, "modality"), _count(part, "token_count")) for part in parts)
    return _sum(*(count for kind, count in kinds if getattr(kind, "value", kind) == name))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _told(**amounts: int | str | None) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount is not None}
