"""A repeated event is always a success, in any notation; other content under its id is refused."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.models import Account, UsageDay, UsageLog
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "account": "acct_42",
    "occurred_at": "2026-11-22T09:30:00Z",
    "provider": "openai",
    "model": "gpt-4o",
    "usage": {"input_tokens": 1000, "seconds": "5"},
    "cost_usd": "0.5",
    "metadata": {"a": 1, "b": {"c": 2, "d": 3}},
}
DEFAULTS: dict[str, Any] = {
    "category": None,
    "endpoint": "",
    "method": "POST",
    "served_by": None,
    "variant": {"resolution": None, "quality": None, "service_tier": None},
    "cached_tokens_included": True,
    "response_time_ms": 0,
    "status_code": 200,
    "error_message": "",
    "retry_count": 0,
    "request_bytes": None,
    "response_bytes": None,
    "user_agent": "",
    "ip_address": None,
    "reservation_id": None,
}
SAME_CONTENT = [
    ("offset", {"occurred_at": "2026-11-22T09:30:00+00:00"}),
    ("other zone", {"occurred_at": "2026-11-22T15:15:00+05:45"}),
    ("fraction", {"occurred_at": "2026-11-22t09:30:00.000000z"}),
    ("beyond microseconds", {"occurred_at": "2026-11-22T09:30:00.0000009Z"}),
    ("defaults", DEFAULTS),
    (
        "default usage",
        {"usage": {"input_tokens": 1000, "seconds": "5", "requests": 1, "output_tokens": 0, "images": None}},
    ),
    ("seconds as a number", {"usage": {"input_tokens": 1000, "seconds": 5}}),
    ("seconds with zeros", {"usage": {"input_tokens": 1000, "seconds": "05.000000"}}),
    ("cost with zeros", {"cost_usd": "0.500000000000000000"}),
    ("lower-case method", {"method": "post"}),
    ("key order", {"metadata": {"b": {"d": 3, "c": 2}, "a": 1}}),
]
OTHER_CONTENT = [
    ("time", {"occurred_at": "2026-11-22T09:30:00.000001Z"}),
    ("no time", {"occurred_at": None}),
    ("usage", {"usage": {"input_tokens": 1001, "seconds": "5"}}),
    ("an explicit 0", {"usage": {"input_tokens": 1000, "seconds": "5", "images": 0}}),
    ("cost", {"cost_usd": "0.500000000000000001"}),
    ("no cost", {"cost_usd": None}),
    ("model in capitals", {"model": "GPT-4o"}),
    ("convention", {"cached_tokens_included": False}),
    ("status", {"status_code": 500}),
    ("metadata", {"metadata": {"a": 1, "b": {"c": 2, "d": 4}}}),
    ("no metadata", {"metadata": {}}),
]


@pytest.mark.parametrize("change", [change for _, change in SAME_CONTENT], ids=[name for name, _ in SAME_CONTENT])
def test_the_same_content_in_another_notation_is_a_duplicate(service: Api, change: dict[str, Any]) -> None:
    first = service.post("usage/", EVENT)
    again = service.post("usage/", EVENT | change)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "status": "duplicate"}
    assert (UsageLog.objects.count(), UsageDay.objects.get().calls) == (1, 1)


@pytest.mark.parametrize("change", [change for _, change in OTHER_CONTENT], ids=[name for name, _ in OTHER_CONTENT])
def test_other_content_is_a_conflict_and_the_first_is_kept(service: Api, change: dict[str, Any]) -> None:
    first = service.post("usage/", EVENT).json()
    stored = UsageLog.objects.values().get()
    again = service.post("usage/", EVENT | change)
    batch = service.post("usage/", {"events": [EVENT | change]})

    assert (again.status_code, batch.status_code) == (409, 422)
    assert [(error["code"], error["attr"]) for error in again.json()["errors"]] == [("event_conflict", "event_id")]
    (line,) = batch.json()["results"]
    assert (line["status"], line["id"], line["cost_usd"]) == ("conflict", first["id"], None)
    assert [(error["code"], error["attr"]) for error in line["errors"]] == [("event_conflict", "events.0.event_id")]
    assert UsageLog.objects.values().get() == stored
    assert UsageDay.objects.get().calls == 1


def test_the_order_of_keys_and_gzip_do_not_matter(service: Api) -> None:
    service.post("usage/", EVENT)
    body = gzip.compress(json.dumps(dict(reversed(EVENT.items())), indent=4, ensure_ascii=False).encode())
    again = service.client.post(
        "/api/v1/usage/", body, content_type="application/json", headers={"content-encoding": "gzip"}
    )

    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert UsageLog.objects.count() == 1


def test_the_same_id_in_another_account_is_another_event(service: Api) -> None:
    answers = [service.post("usage/", {**EVENT, "account": name}) for name in ("acct_42", "acct_43")]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert UsageLog.objects.count() == 2


def test_a_bound_key_may_repeat_an_event_of_a_service_key(service: Api) -> None:
    first = service.post("usage/", EVENT | {"cost_usd": None}).json()
    bound = Api("ingest", account=Account.objects.get())
    again = bound.post("usage/", {**EVENT, "cost_usd": None, "account": None})

    assert (again.status_code, again.json()) == (200, {**first, "status": "duplicate"})


def test_a_retry_after_40_days_is_a_success(service: Api, clock: Clock, now: datetime) -> None:
    first = service.post("usage/", EVENT).json()
    clock.move_to(now + timedelta(days=40))
    fresh = service.post("usage/", {**EVENT, "event_id": "e2"})
    again = service.post("usage/", EVENT)
    conflict = service.post("usage/", {**EVENT, "model": "gpt-4o-mini"})
    batch = service.post("usage/", {"events": [EVENT, {**EVENT, "event_id": "e2"}]})

    assert (fresh.status_code, fresh.json()["errors"][0]["code"]) == (422, "out_of_range")
    assert (again.status_code, again.json()) == (200, {**first, "status": "duplicate"})
    assert conflict.status_code == 409
    assert (batch.status_code, [line["status"] for line in batch.json()["results"]]) == (207, ["duplicate", "rejected"])
    assert UsageLog.objects.count() == 1


def test_a_retry_succeeds_with_a_key_that_may_not_state_costs(service: Api) -> None:
    """A bound key may not state costs, but an accepted event stays a success."""
    first = service.post("usage/", EVENT).json()
    bound = Api("ingest", account=Account.objects.get())

    assert bound.post("usage/", EVENT).json() == {**first, "status": "duplicate"}
    assert bound.post("usage/", {**EVENT, "event_id": "e2"}).json()["errors"][0]["attr"] == "cost_usd"


def test_an_event_without_a_time_gets_its_arrival_time_and_may_be_repeated(
    service: Api, clock: Clock, now: datetime
) -> None:
    service.post("usage/", {**EVENT, "occurred_at": None})
    clock.move_to(now + timedelta(days=40))
    again = service.post("usage/", {**EVENT, "occurred_at": None})

    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert UsageLog.objects.get().timestamp == now


def test_of_equal_ids_in_a_batch_the_lowest_index_wins(service: Api) -> None:
    batch = [{**EVENT, "status_code": 99}, EVENT, EVENT, {**EVENT, "model": "x"}, {**EVENT, "account": "acct_43"}]
    answer = service.post("usage/", {"events": batch})

    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (2, 1, 2)
    statuses = [line["status"] for line in body["results"]]
    assert statuses == ["rejected", "accepted", "duplicate", "conflict", "accepted"]
    assert [line["event_id"] for line in body["results"]] == ["e1"] * 5
    assert UsageLog.objects.count() == 2


def test_a_repeated_batch_is_a_success(service: Api) -> None:
    batch = {"events": [{**EVENT, "event_id": f"e{index}"} for index in range(100)]}
    first = service.post("usage/", batch).json()
    again = service.post("usage/", batch)

    assert again.status_code == 200
    assert again.json() == {
        "accepted": 0,
        "duplicates": 100,
        "rejected": 0,
        "results": [{**line, "status": "duplicate"} for line in first["results"]],
    }
    assert UsageDay.objects.get().calls == 100
