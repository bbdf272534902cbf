"""Ids differ by case, blanks and normal form on every database, and texts are stored exactly as they were sent."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from billing.models import Account, UsageLog
from tests.conftest import Api

pytestmark = pytest.mark.django_db

EVENT = {"event_id": "e1", "provider": "openai", "model": "gpt-4o"}
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
NEARLY_EQUAL = [
    "abc",
    "ABC",
    "Abc",
    "abc ",
    " abc",
    "abc\u00a0",
    "abc\u200b",
    "ab\u00df",
    "abss",
    COMPOSED,
    DECOMPOSED,
    "cafe",
]
TEXTS = [
    "\U0001f680 \U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\u05e9\u05dc\u05d5\u05dd \u202b\u0645\u0631\u062d\u0628\u0627\u202c",
    "<script>alert('x')</script>&amp;",
    '=HYPERLINK("http://example.com","x")',
    "'; DROP TABLE api_usage_logs; -- %s %(x)s {0} \\",
    "\uffff\ue000\U0010ffff",
    " blanks at both ends ",
]


def test_nearly_equal_event_ids_are_different_events(bound: Api) -> None:
    answer = bound.post("usage/", {"events": [{**EVENT, "event_id": event_id} for event_id in NEARLY_EQUAL]})

    assert (answer.status_code, answer.json()["accepted"]) == (200, len(NEARLY_EQUAL))
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == sorted(NEARLY_EQUAL)


def test_nearly_equal_account_ids_are_different_accounts(service: Api) -> None:
    answer = service.post("usage/", {"events": [{**EVENT, "account": external_id} for external_id in NEARLY_EQUAL]})

    assert (answer.status_code, answer.json()["accepted"]) == (200, len(NEARLY_EQUAL))
    assert sorted(Account.objects.values_list("external_id", flat=True)) == sorted(NEARLY_EQUAL)
    for external_id in NEARLY_EQUAL:
        assert [row["account"] for row in service.get("usage/logs/", account=external_id).json()["results"]] == [
            external_id
        ]
        assert service.get("usage/summary/", account=external_id).json()["total_calls"] == 1


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_stored_and_returned_exactly(service: Api, text: str) -> None:
    fields: dict[str, Any] = {
        "event_id": text,
        "account": text.replace("/", ""),
        "model": text,
        "endpoint": f"/v1/{text.replace('#', '')}",
        "error_message": f"{text}\tand\r\n{text}",
        "user_agent": text,
        "metadata": {text: [text, {"deep": f"{text}\n"}]},
        "variant": {"quality": text},
    }
    answer = service.post("usage/", {"provider": "openai", **fields})
    assert answer.status_code == 201
    assert answer.json()["event_id"] == text

    (row,) = service.get("usage/logs/", q=text).json()["results"]
    names = ("event_id", "account", "model", "endpoint", "error_message", "metadata")
    assert {name: row[name] for name in names} == {name: fields[name] for name in names}
    log = UsageLog.objects.get()
    assert (log.user_agent, log.variant) == (text, fields["variant"])


def test_texts_of_the_maximum_length_are_stored_in_full(bound: Api) -> None:
    fields = {
        "event_id": "\U0001f680" * 256,
        "provider": "p" * 50,
        "model": "\u20ac" * 200,
        "endpoint": "/" + "\u20ac" * 1999,
        "served_by": "s" * 100,
        "error_message": "\u20ac" * 8000,
        "user_agent": "\u20ac" * 500,
        "metadata": {"a": "x" * 4088},
    }
    answer = bound.post("usage/", fields)

    assert answer.status_code == 201
    names = ("event_id", "provider", "endpoint", "served_by", "error_message", "user_agent", "metadata")
    log = UsageLog.objects.get()
    assert {name: getattr(log, name) for name in names} == {name: fields[name] for name in names}
    assert (log.model_used, log.actual_provider_name) == (fields["model"], "s" * 50)


@pytest.mark.parametrize("levels", [2, 31, 32, 40, 63])
def test_metadata_of_up_to_64_levels_is_stored(bound: Api, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = {"a": deep}
    answer = bound.post("usage/", {**EVENT, "metadata": deep})

    assert answer.status_code == 201
    assert UsageLog.objects.get().metadata == deep


def test_numbers_in_metadata_are_stored_exactly(bound: Api) -> None:
    numbers = {"long": int("9" * 40), "small": -0.125, "none": None, "yes": True, "tiny": 1.5e-7}
    answer = bound.post("usage/", {**EVENT, "metadata": numbers})

    assert answer.status_code == 201
    assert bound.post("usage/", {**EVENT, "metadata": numbers}).json()["status"] == "duplicate"
    assert bound.get(f"usage/logs/{answer.json()['id']}/").json()["metadata"] == numbers


ENDPOINTS = [
    ("https://api.openai.com/v1/chat?key=secret#x", "https://api.openai.com/v1/chat"),
    ("https://user:secret@api.openai.com/v1", "https://api.openai.com/v1"),
    ("https://secret@api.openai.com", "https://api.openai.com"),
    ("https://user:sec@ret@api.openai.com/v1", "https://api.openai.com/v1"),
    ("user:secret@api.openai.com/v1", "api.openai.com/v1"),
    ("//user:secret@api.openai.com/v1", "//api.openai.com/v1"),
    ("https:/user:secret@api.openai.com/v1", "https:/api.openai.com/v1"),
    ("https:\\\\user:secret@api.openai.com\\v1", "https:\\\\api.openai.com\\v1"),
    ("/proxy/https://user:secret@api.openai.com/v1", "/proxy/https://api.openai.com/v1"),
    ("/a//b/https://user:secret@api.openai.com/v1", "/a//b/https://api.openai.com/v1"),
    ("/v1/chat#token=secret", "/v1/chat"),
    ("?key=secret", ""),
    ("/v1/models/claude-3@20240229:predict", "/v1/models/claude-3@20240229:predict"),
]


@pytest.mark.parametrize(("sent", "stored"), ENDPOINTS)
def test_an_endpoint_is_stored_without_its_secrets(bound: Api, sent: str, stored: str) -> None:
    answer = bound.post("usage/", {**EVENT, "endpoint": sent})

    assert answer.status_code == 201
    assert UsageLog.objects.get().endpoint == stored
    assert b"secret" not in bound.get("usage/logs/").content
