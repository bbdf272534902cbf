"""Usage events: normal form, digest, and secrets in endpoints. Refusals are in test_bad_input.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.errors import Refused
from billing.events import events
from lib.strict_json import BadJSON

MINIMAL = {"event_id": "e1", "provider": "openai"}
FULL: dict[str, Any] = {
    **MINIMAL,
    "account": "a",
    "occurred_at": "2026-11-22T10:30:00.5+01:00",
    "category": "text",
    "model": "gpt-4o",
    "endpoint": "https://api.openai.com/v1/chat?key=1",
    "usage": {"input_tokens": 7, "seconds": "1.50"},
    "variant": {"quality": "hd"},
    "cost_usd": "0.10",
    "metadata": {"b": 1, "a": ["\u00e9", None, 1.5]},
}
# Fixed: with another digest, every stored event would conflict with its own repeat.
DIGEST_OF_MINIMAL = "172d074f-ecda-5007-ad82-98fa33f015bd"
DIGEST_OF_FULL = "72e9acff-0a04-54bb-9c60-7217db7bf6d0"


def parsed(**fields: Any) -> events.Event:
    return events.parse(MINIMAL | fields)


def test_omitted_fields_have_their_defaults() -> None:
    event = parsed()

    assert (event.account, event.occurred_at, event.category, event.model, event.method) == (
        None,
        None,
        None,
        "",
        "POST",
    )
    assert (event.usage.requests, event.usage.images, event.usage.seconds) == (1, None, None)
    assert (event.status_code, event.cached_tokens_included, event.cost_usd, event.metadata) == (200, True, None, {})
    assert (event.failed, event.cost_nano, event.occurred) == (False, None, None)


def test_times_decimals_and_endpoints_are_normalised() -> None:
    event = events.parse(FULL)

    assert event.occurred_at == "2026-11-22T09:30:00.500000+00:00"
    assert event.occurred == datetime(2026, 11, 22, 9, 30, 0, 500_000, tzinfo=UTC)
    assert (event.usage.seconds, event.cost_usd, event.cost_nano) == ("1.5", "0.1", 100_000_000)
    assert event.endpoint == "https://api.openai.com/v1/chat"


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        ("0", "0"),
        ("0.000", "0"),
        ("007", "7"),
        ("10", "10"),
        ("10.0", "10"),
        ("0.10", "0.1"),
        (5, "5"),
        ("999999999.999999", "999999999.999999"),
    ],
)
def test_a_decimal_is_normalised_to_its_shortest_plain_form(sent: str | int, normal: str) -> None:
    assert parsed(usage={"seconds": sent, "megapixels": sent}).usage.seconds == normal
    assert parsed(usage={"megapixels": sent}).usage.megapixels == normal


@pytest.mark.parametrize(
    ("address", "normal"), [("127.0.0.1", "127.0.0.1"), ("2001:DB8:0::1", "2001:db8::1"), ("0:0:0:0:0:0:0:0", "::")]
)
def test_an_ip_address_is_normalised(address: str, normal: str) -> None:
    assert parsed(ip_address=address).ip_address == normal


@pytest.mark.parametrize(("status", "failed"), [(100, False), (399, False), (400, True), (599, True)])
def test_a_call_failed_when_its_status_is_at_least_400(status: int, failed: bool) -> None:
    assert parsed(status_code=status).failed is failed


def test_the_digest_never_changes() -> None:
    assert str(UUID(bytes=events.digest(parsed()))) == DIGEST_OF_MINIMAL
    assert str(UUID(bytes=events.digest(events.parse(FULL)))) == DIGEST_OF_FULL


def test_the_digest_excludes_event_id_account_and_reservation() -> None:
    excluded = [{"event_id": "e2"}, {"account": "b"}, {"reservation_id": "r"}]
    assert {events.digest(parsed(**fields)) for fields in excluded} == {events.digest(parsed())}


CHANGES: dict[str, Any] = {
    "occurred_at": "2026-11-22T09:30:00Z",
    "provider": "gemini",
    "category": "text",
    "model": "x",
    "endpoint": "/x",
    "method": "GET",
    "served_by": "x",
    "usage": {"images": 0},
    "variant": {"quality": "x"},
    "cached_tokens_included": False,
    "cost_usd": "0",
    "response_time_ms": 1,
    "status_code": 201,
    "error_message": "x",
    "retry_count": 1,
    "request_bytes": 0,
    "response_bytes": 0,
    "user_agent": "x",
    "ip_address": "::1",
    "metadata": {"x": None},
    "response": {"usage": {}},
}


def test_every_other_field_changes_the_digest() -> None:
    digests = {events.digest(events.parse_unread({**MINIMAL, name: value})) for name, value in CHANGES.items()}

    assert set(CHANGES) == {*events.Event.__struct_fields__} - {"event_id", "account", "reservation_id"}
    assert len(digests | {events.digest(parsed())}) == len(CHANGES) + 1


def test_a_digest_is_a_valid_uuid() -> None:
    digest = UUID(bytes=events.digest(parsed()))
    assert (digest.version, digest.variant) == (5, "specified in RFC 4122")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


def parse_or_error(raw: dict[str, Any]) -> events.Event | Refused | BadJSON:
    try:
        return events.parse(raw)
    except (Refused, BadJSON) as error:
        return error


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*events.Event.__struct_fields__, "other"]), json_values), st.booleans())
def test_any_json_is_parsed_or_refused(raw: dict[str, Any], complete: bool) -> None:
    result = parse_or_error(MINIMAL | raw if complete else raw)
    assert UUID(bytes=events.digest(result)).version == 5 if isinstance(result, events.Event) else str(result)


@settings(deadline=None)
@given(st.sampled_from(["error_message", "model", "user_agent", "event_id"]), st.text(st.characters(codec="utf-8")))
def test_a_text_is_unchanged_or_refused(name: str, text: str) -> None:
    result = parse_or_error(MINIMAL | {name: text})
    if isinstance(result, events.Event):
        assert getattr(result, name) == text
    else:
        assert (type(result), getattr(result, "attr", "")) == (Refused, name)


@settings(deadline=None)
@given(st.text("ab:/\\@?#%. "))
def test_userinfo_and_query_are_removed_from_an_endpoint(text: str) -> None:
    secret = f"https://user:SECRET@{text}"
    assert "SECRET" not in events.without_secrets(secret)
    assert "?" not in events.without_secrets(text)
    assert events.without_secrets(events.without_secrets(text)) == events.without_secrets(text)


def test_a_response_is_never_left_unread() -> None:
    with pytest.raises(Refused) as caught:
        parsed(response={"usage": {"prompt_tokens": 3}})
    assert (caught.value.code, caught.value.attr) == ("invalid", "response")
