"""Events with a vendor's response in place of their usage: reads it, and keeps what counts but none of its contents. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from billing.errors import Refused
from billing.events import events, unread_fields, usage_parts
from billing.events.events import Event, ReadResponse, Usage, Variant
from billing.events.unread_fields import Decisions
from billing.events.vendor_responses import reading as response_reading
from billing.events.vendor_responses.reading import Reading
from lib import strict_json
from providers import price_conditions

MAX_PIECES = 15_000  # of streams in one request: reading takes some 50 us a piece
MAX_ID_LENGTH = 256
MAX_VARIANT_LENGTH = 60


def parse(raw: object, *, depth: int = 0) -> Event:
    """As events.parse, and reads the event's `response`, if it has one. Raises Refused or strict_json.BadJSON."""
    event = events.parse_unread(raw, depth=depth)
    response = event.response
    if response is None:
        return event
    if isinstance(raw, Mapping) and "usage" in raw:
        raise Refused("invalid", "Send `usage` or `response`, not both.", "response")
    if count_pieces(raw) > MAX_PIECES:
        raise Refused("max_length", f"At most {MAX_PIECES:,} pieces; leave out those of contents.", "response")
    strict_json.check_limits(response, depth=depth + 1)
    digest = _digest(event, response)
    reading = response_reading.read_pieces(response if isinstance(response, list) else [response])
    return attach(event, reading, digest=digest)


def count_pieces(raw: object) -> int:
    """The number of pieces in an event's `response`."""
    response = raw.get("response") if isinstance(raw, Mapping) else None
    return len(response) if isinstance(response, list) else 0


def attach(event: Event, reading: Reading, *, digest: bytes | None = None) -> Event:
    """Give the event the usage read of a response, and its model and variant, where it does not state them itself.

    What can't be stored is left out, and its path becomes a part of `unread`. `digest`: of the event as it was sent.
    """
    stated: dict[str, Any] = msgspec.to_builtins(event.usage)  # omits defaults
    usage, unusable = {**reading.usage, **stated}, []
    event.cached_tokens_included = event.cached_tokens_included and not reading.excludes_cached
    while unread := _set_usage(event, usage):
        del usage[unread]
        unusable.append(f"usage.{unread}")
    reading = _without_unusable_texts(reading._replace(unread=(*reading.unread, *unusable)))
    event.model = event.model or reading.model
    served = {name: value for name, value in reading.variant.items() if not price_conditions.is_default(name, value)}
    event.variant = msgspec.convert({**served, **msgspec.to_builtins(event.variant)}, Variant)
    event.response = cast("Any", ReadResponse(reading, digest))
    return event


def read_whole_usage(response: object, decisions: Decisions, *, cached_included: bool) -> Usage:
    """The usage in a vendor's response, with input tokens in the given convention. Raises Refused if it is not read whole."""
    event = unread_fields.apply(parse({"event_id": "-", "provider": "-", "response": response}), decisions)
    reading = event.reading
    if reading is None or not reading.usage or reading.unread:
        unread = f"; not read: {reading.unread[0]}" if reading and reading.unread else ""
        raise Refused(
            "invalid", f"The response does not give the whole usage{unread}. Send `usage` instead.", "response"
        )
    usage = event.usage
    writes = max(usage.cache_write_tokens, usage.cache_write_1h_tokens)
    beside = (usage.cached_input_tokens + writes) * (cached_included - event.cached_tokens_included)
    return msgspec.structs.replace(usage, input_tokens=usage.input_tokens + beside)


def as_json(reading: Reading) -> dict[str, Any]:
    """The reading as a log stores it: all but the usage, which has columns of its own, without empty values."""
    fields = reading._asdict()
    del fields["usage"], fields["excludes_cached"]
    return {"reader": fields.pop("reader"), **{name: value for name, value in fields.items() if value}}


def _set_usage(event: Event, usage: dict[str, int | str]) -> str | None:
    """Set the event's usage. Returns the field that can't be stored, if there is one."""
    try:
        event.usage = events.convert(usage, Usage)
        events.normalise_usage(event)
        usage_parts.check(event)
    except Refused as refused:
        return refused.attr.removeprefix("usage.")
    return None


def _without_unusable_texts(reading: Reading) -> Reading:
    """The reading without texts that can't be stored; a model or variant that is left out counts as unread."""
    unread = list(reading.unread)
    variant = {}
    for name, value in reading.variant.items():
        if _is_storable(value, MAX_VARIANT_LENGTH):
            variant[name] = value
        else:
            unread.append(name)
    model = reading.model if _is_storable(reading.model, events.MAX_MODEL_LENGTH) else ""
    if model != reading.model:
        unread.append("model")
    response_id = reading.response_id if _is_storable(reading.response_id, MAX_ID_LENGTH) else ""
    return reading._replace(model=model, variant=variant, response_id=response_id, unread=tuple(unread))


def _is_storable(text: str, max_length: int) -> bool:
    try:
        events.check_text(text, "response")
    except Refused:
        return False
    return len(text.lower()) <= max_length


def _digest(event: Event, response: object) -> bytes:
    """The digest of the event with the SHA-256 of the response's canonical JSON in place of the response.

    It does not depend on what is read: a retry is recognised by later releases, whose readers may read more.
    """
    try:
        canonical = msgspec.json.encode(response, order="sorted")
    except UnicodeEncodeError as error:
        raise Refused("invalid", "Lone surrogates can't be stored.", "response") from error
    event.response = cast("Any", hashlib.sha256(canonical).hexdigest())
    return events.digest(event)
