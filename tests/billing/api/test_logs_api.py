"""`GET usage/logs/`: filters, keyset pages, and the 31 days of a search across all accounts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.api.schema import LOG_FIELDS
from billing.ledger import log_search
from billing.models import UsageLog
from tests.billing.ledger_rows import NOON, record
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]


def ago(**span: float) -> str:
    return (NOON - timedelta(**span)).isoformat()


def ids(api: Api, **query: Any) -> list[str]:
    response = api.get("usage/logs/", **query)
    assert response.status_code == 200, response.content
    return [row["event_id"] for row in response.json()["results"]]


def walk(api: Api, link: str | None, towards: str) -> list[list[str]]:
    """Follows the `next` or `previous` links. Returns the event ids of each page."""
    pages = []
    while link:
        page = api.client.get(link).json()
        pages.append([row["event_id"] for row in page["results"]])
        link = page[towards]
    return pages


def test_a_row_has_every_field_of_its_log(service: Api) -> None:
    event = {
        "event_id": "chatcmpl-9f2",
        "account": "acct_42",
        "occurred_at": "2026-11-22T09:30:00.125Z",
        "provider": "openai",
        "model": "gpt-4o",
        "endpoint": "https://api.openai.com/v1/chat/completions",
        "usage": {
            "input_tokens": 1000,
            "cached_input_tokens": 200,
            "output_tokens": 500,
            "seconds": "1.50",
            "images": 0,
        },
        "response_time_ms": 8120,
        "retry_count": 2,
        "metadata": {"feature": "story"},
    }
    created = service.post("usage/", event).json()
    (row,) = service.get("usage/logs/").json()["results"]

    assert list(row) == list(LOG_FIELDS)
    assert row.pop("usage") == {  # only values that differ from their defaults
        "input_tokens": 1000,
        "cached_input_tokens": 200,
        "output_tokens": 500,
        "seconds": "1.5",
        "images": 0,
    }
    assert row == {
        "id": created["id"],
        "event_id": "chatcmpl-9f2",
        "account": "acct_42",
        "timestamp": "2026-11-22T09:30:00.125000Z",
        "received_at": "2026-11-22T12:00:00Z",
        "period": "2026-11",
        "late_for": None,
        "provider": "openai",
        "actual_provider": "openai",
        "provider_label": "OpenAI",
        "confidence": "exact",
        "category": "text",
        "model": "gpt-4o",
        "endpoint": "https://api.openai.com/v1/chat/completions",
        "method": "POST",
        "tokens_input": 1000,
        "tokens_output": 500,
        "tokens_total": 1500,
        "cost_usd": "0.0075",
        "original_cost_usd": "0.0075",
        "cost_source": "price_book",
        "priced": True,
        "usage_state": "complete",
        "unpriced_reason": None,
        "calls": 1,
        "voided": False,
        "adjustments": [],
        "response_time_ms": 8120,
        "status": "success",
        "status_code": 200,
        "error_message": "",
        "retry_count": 2,
        "metadata": {"feature": "story"},
    }


@pytest.fixture
def mixed_logs(db: None) -> None:
    record(
        {"event_id": "text", "provider": "OpenAI", "status_code": 200},
        {
            "event_id": "video",
            "provider": "video",
            "model": "alibaba/wan-2.5",
            "endpoint": "/video-generation/wavespeed",
        },
        {"event_id": "failed", "provider": "gemini", "model": "gemini-2.5-pro", "status_code": 503, "cost_usd": None},
        {"event_id": "unpriced", "provider": "openai", "model": "GPT-nobody_knows%", "cost_usd": None},
        {"event_id": "stated", "provider": "exa", "model": "", "served_by": "exa", "status_code": 404},
        {"event_id": "undetected", "provider": "Serper", "model": ""},
    )
    UsageLog.objects.filter(event_id="undetected").update(actual_provider_name=None, confidence="")
    UsageLog.objects.filter(event_id="video").update(voided_at=NOON)


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"text", "video", "failed", "unpriced", "stated", "undetected"}),
    ({"provider": "openai"}, {"text", "unpriced"}),
    ({"provider": "OPENAI"}, {"text", "unpriced"}),
    ({"provider": "open"}, set()),
    ({"actual_provider": "wavespeed"}, {"video"}),
    ({"actual_provider": "google"}, {"failed"}),
    ({"actual_provider": "serper"}, {"undetected"}),
    ({"category": "video"}, {"video"}),
    ({"model": "gpt-4o"}, {"text"}),
    ({"model": "GPT-4o"}, set()),
    ({"status": "failed"}, {"failed", "stated"}),
    ({"status": "success"}, {"text", "video", "unpriced", "undetected"}),
    ({"status_code": 404}, {"stated"}),
    ({"priced": "true"}, {"text", "video", "failed", "stated", "undetected"}),
    ({"priced": "false"}, {"unpriced"}),
    ({"estimated": "true"}, set()),
    ({"estimated": "false"}, {"text", "video", "failed", "unpriced", "stated", "undetected"}),
    ({"usage_state": "complete"}, {"text", "video", "failed", "unpriced", "stated", "undetected"}),
    ({"usage_state": "unknown"}, set()),
    ({"unpriced_reason": "price_unknown"}, {"unpriced"}),
    ({"unpriced_reason": "usage_unknown"}, set()),
    ({"confidence": "fallback"}, {"undetected", "unpriced"}),
    ({"confidence": "exact"}, {"stated"}),
    ({"confidence": "strong"}, {"video"}),
    ({"voided": "true"}, {"video"}),
    ({"voided": "false"}, {"text", "failed", "unpriced", "stated", "undetected"}),
    ({"q": "failed"}, {"failed"}),
    ({"q": "fail"}, set()),
    ({"q": "gpt"}, {"text", "unpriced"}),
    ({"q": "GPT-4"}, {"text"}),
    ({"q": "gpt-nobody_knows%"}, {"unpriced"}),
    ({"q": "gpt-nobody%"}, set()),
    ({"q": "%"}, set()),
    ({"q": "_"}, set()),
    ({"q": "' OR 1=1 --"}, set()),
    ({"account": "a", "status": "failed", "status_code": 503}, {"failed"}),
    ({"period": "2026-11"}, {"text", "video", "failed", "unpriced", "stated", "undetected"}),
    ({"period": "2026-10"}, set()),
]


@pytest.mark.usefixtures("mixed_logs")
@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[str(query) for query, _ in FILTERS])
def test_a_filter_selects_logs(service: Api, query: dict[str, Any], expected: set[str]) -> None:
    names = ids(service, **query)
    assert (set(names), len(names)) == (expected, len(expected))


def test_q_finds_exact_log_ids_and_event_ids_with_spaces(service: Api) -> None:
    (first, _) = record({"event_id": "ends with a blank "}, {"event_id": "other"})
    assert ids(service, q=str(first.id)) == ["ends with a blank "]
    assert ids(service, q="ends with a blank ") == ["ends with a blank "]
    assert ids(service, q="ends with a blank") == []


@pytest.mark.usefixtures("mixed_logs")
@pytest.mark.parametrize(("query", "expected"), [case for case in FILTERS if "q" in case[0]])
def test_q_finds_the_same_within_an_account(service: Api, query: dict[str, Any], expected: set[str]) -> None:
    assert set(ids(service, account="a", **query)) == expected


@pytest.mark.usefixtures("mixed_logs")
def test_q_searches_models_only_if_the_account_has_a_matching_one(service: Api) -> None:
    for text, searches_models in (("failed", False), ("gpt-4", True)):
        with CaptureQueriesContext(connection) as queries:
            service.get("usage/logs/", account="a", q=text)
        logs = next(query["sql"] for query in queries if "ORDER BY" in query["sql"] and "event_key" in query["sql"])
        assert ("LOWER(" in logs) is searches_models


def test_from_is_inclusive_and_to_is_exclusive(service: Api) -> None:
    record(*({"event_id": f"e{hours}", "occurred_at": ago(hours=hours)} for hours in range(5)))

    assert ids(service, **{"from": ago(hours=3), "to": ago(hours=1)}) == ["e2", "e3"]
    assert ids(service, **{"from": ago(hours=3)}) == ["e0", "e1", "e2", "e3"]
    assert ids(service, to=ago(hours=3)) == ["e4"]
    assert ids(service, account="a", period="2026-11", to=ago(hours=3)) == ["e4"]
    assert ids(service, **{"from": ago(hours=1), "to": ago(hours=3)}) == []


BAD_QUERIES = [
    ({"unknown": "1"}, "unknown_field", "unknown"),
    ({"actual_provider_name": "x"}, "unknown_field", "actual_provider_name"),
    ({"provider": "x" * 51}, "invalid", "provider"),
    ({"provider": "a\x00"}, "invalid", "provider"),
    ({"model": "x" * 201}, "invalid", "model"),
    ({"q": "x" * 257}, "invalid", "q"),
    ({"q": "\x00"}, "invalid", "q"),
    ({"category": "poetry"}, "invalid", "category"),
    ({"status": "maybe"}, "invalid", "status"),
    ({"status_code": "abc"}, "invalid", "status_code"),
    ({"status_code": "99"}, "invalid", "status_code"),
    ({"status_code": "600"}, "invalid", "status_code"),
    ({"status_code": "200.5"}, "invalid", "status_code"),
    ({"status_code": "NaN"}, "invalid", "status_code"),
    ({"status_code": "1e1000000"}, "invalid", "status_code"),
    ({"priced": "maybe"}, "invalid", "priced"),
    ({"estimated": "maybe"}, "invalid", "estimated"),
    ({"usage_state": "lost"}, "invalid", "usage_state"),
    ({"unpriced_reason": "none"}, "invalid", "unpriced_reason"),
    ({"voided": "2"}, "invalid", "voided"),
    ({"confidence": "sure"}, "invalid", "confidence"),
    ({"from": "yesterday"}, "invalid", "from"),
    ({"from": "2026-11-22"}, "invalid", "from"),
    ({"from": "2026-11-22T00:00:00"}, "invalid", "from"),
    ({"from": "2026-02-30T00:00:00Z"}, "invalid", "from"),
    ({"from": "0001-01-01T00:00:00Z"}, "out_of_range", "from"),
    ({"from": "9999-12-31T23:59:59Z"}, "out_of_range", "from"),
    ({"to": "0001-01-01T00:00:00Z"}, "out_of_range", "to"),
    ({"to": "9999-12-31T23:59:59-01:00"}, "invalid", "to"),
    ({"period": "2026-13"}, "invalid", "period"),
    ({"period": "2026-1"}, "invalid", "period"),
    ({"period": "0000-01"}, "invalid", "period"),
    ({"period": "9999-12"}, "invalid", "period"),
    ({"period": "2026-11-01"}, "invalid", "period"),
    ({"period": "now\x00"}, "invalid", "period"),
    ({"page_size": "0"}, "invalid", "page_size"),
    ({"page_size": "501"}, "invalid", "page_size"),
    ({"page_size": "-1"}, "invalid", "page_size"),
    ({"page_size": "1.5"}, "invalid", "page_size"),
    ({"page_size": "9" * 5000}, "invalid", "page_size"),
    ({"page_size": "\uff15"}, "invalid", "page_size"),
    ({"cursor": "x"}, "invalid", "cursor"),
    ({"cursor": "20261122T120000.000000_"}, "invalid", "cursor"),
    ({"cursor": "20261322T120000.000000_0193e0c0d0c07000800000000000abcd"}, "invalid", "cursor"),
    ({"cursor": "\x00"}, "invalid", "cursor"),
    ({"format": "xml"}, "invalid", "format"),
]


@pytest.mark.parametrize(("query", "code", "attr"), BAD_QUERIES, ids=[str(query)[:50] for query, _, _ in BAD_QUERIES])
def test_a_bad_filter_is_422(service: Api, query: dict[str, str], code: str, attr: str) -> None:
    response = service.get("usage/logs/", **query)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [(code, attr)]


@pytest.mark.parametrize("cursor", ["00010101T000000.000000_" + "0" * 32, "-99991231T235959.999999_" + "f" * 32])
def test_a_cursor_outside_all_data_gives_an_empty_page(service: Api, cursor: str) -> None:
    record({})
    assert service.get("usage/logs/", cursor=cursor).json() == {"next": None, "previous": None, "results": []}


def test_pages_are_newest_first_with_50_rows(service: Api) -> None:
    record(*({"event_id": f"e{minutes:02}", "occurred_at": ago(minutes=minutes)} for minutes in range(60)))
    page = service.get("usage/logs/").json()

    assert [row["event_id"] for row in page["results"]] == [f"e{minutes:02}" for minutes in range(50)]
    assert (page["previous"], walk(service, page["next"], "next")) == (None, [[f"e{n}" for n in range(50, 60)]])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 11])
def test_paging_over_equal_timestamps_gives_every_row_once_in_both_directions(service: Api, size: int) -> None:
    times = [ago(hours=1)] * 7 + [ago(hours=2)] * 2 + [ago(hours=3)]
    record(*({"event_id": f"e{index}", "occurred_at": at} for index, at in enumerate(times)))
    (all_ids,) = walk(service, "/api/v1/usage/logs/?account=a", "next")
    pages = walk(service, f"/api/v1/usage/logs/?account=a&page_size={size}", "next")

    assert sorted(all_ids) == sorted(f"e{index}" for index in range(10))
    assert pages == [all_ids[start : start + size] for start in range(0, 10, size)]

    last = f"/api/v1/usage/logs/?account=a&page_size={size}"
    while link := service.client.get(last).json()["next"]:
        last = link
    assert walk(service, last, "previous") == pages[::-1]


def test_links_keep_the_filters(service: Api) -> None:
    record(*({"model": model} for model in ("gpt-4o", "gpt-4o-mini") * 3))
    link = service.get("usage/logs/", account="a", model="gpt-4o", page_size=2).json()["next"]
    query = dict(parse_qsl(urlsplit(link).query))

    assert {name: query[name] for name in ("account", "model", "page_size")} == {
        "account": "a",
        "model": "gpt-4o",
        "page_size": "2",
    }
    assert {name for page in walk(service, link, "next") for name in page} < {"e0", "e2", "e4"}


def test_rows_added_while_paging_shift_no_page(service: Api) -> None:
    record(*({"event_id": f"e{n}", "occurred_at": ago(minutes=n)} for n in range(4)))
    first = service.get("usage/logs/", page_size=2).json()
    record(
        {"event_id": "new", "occurred_at": ago(minutes=-1)}, {"event_id": "between", "occurred_at": ago(minutes=2.5)}
    )

    second = service.client.get(first["next"]).json()
    assert [row["event_id"] for row in second["results"]] == ["e2", "between"]
    back = service.client.get(second["previous"]).json()
    assert [row["event_id"] for row in back["results"]] == ["e0", "e1"]
    assert walk(service, back["previous"], "previous") == [["new"]]


def test_without_an_account_the_last_31_days_are_listed(service: Api) -> None:
    record(*({"event_id": f"e{days}", "occurred_at": ago(days=days)} for days in (0, 31, 31.001, 60)))

    assert ids(service) == ["e0", "e31"]
    assert ids(service, model="gpt-4o") == ["e0", "e31"]
    assert ids(service, to=ago(days=30)) == ["e31", "e31.001", "e60"]
    assert ids(service, **{"from": ago(days=60)}) == ["e0", "e31", "e31.001", "e60"]
    assert ids(service, account="a", model="gpt-4o") == ["e0", "e31", "e31.001", "e60"]
    assert ids(service, **{"from": ago(days=60), "to": ago(days=30), "model": "gpt-4o"}) == ["e31", "e31.001", "e60"]


def test_a_filter_across_all_accounts_covers_at_most_31_days(service: Api) -> None:
    query = {"from": ago(days=31.001), "to": ago(days=0), "model": "gpt-4o"}
    response = service.get("usage/logs/", **query)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [("out_of_range", "from")]
    assert service.get("usage/logs/", **query, account="nobody").status_code == 404


def test_a_stream_is_read_in_pages_without_losing_a_row(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_search, "STREAM_PAGE_SIZE", 3)
    record(*({"event_id": f"e{n}", "occurred_at": ago(hours=n // 4)} for n in range(9)))
    pages = list(log_search.stream(UsageLog.objects.all()))

    assert [len(page) for page in pages] == [3, 3, 3, 0]
    assert len({log.event_id for page in pages for log in page}) == 9


def test_a_period_filter_uses_the_accounts_own_schedule(service: Api) -> None:
    service.post("accounts/", {"external_id": "a", "timezone": "Asia/Tokyo", "anchor_day": 15})
    period_start = datetime.fromisoformat("2026-11-14T15:00:00+00:00")
    record(*({"event_id": f"{s}", "occurred_at": (period_start + timedelta(seconds=s)).isoformat()} for s in (-1, 0)))

    assert ids(service, account="a", period="2026-11") == ["0"]
    assert ids(service, account="a", period="2026-10") == ["-1"]
    assert ids(service, period="2026-11") == ["0", "-1"]
