"""An event with `requests` above 1 is an aggregated row of that many calls, in every meter, total and export."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from billing.corrections import corrections
from billing.models import Account, ProviderMinute, Statement, UsageLog
from billing.reports import provider_health
from tests.billing import archived_periods
from tests.billing.archived_periods import DUE_AT, HOUR, IN_OCTOBER
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

METER = "ai_text_generation_calls"
TEN = {"provider": "openai", "model": "gpt-4o", "usage": {"requests": 10, "input_tokens": 1000}, "cost_usd": "2"}


def send(api: Api, event_id: str = "e0", **fields: Any) -> dict[str, Any]:
    answer = api.post("usage/", {"event_id": event_id, "account": "a", **TEN, **fields})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def assert_nothing_to_correct() -> None:
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")


def test_each_of_its_calls_counts(service: Api) -> None:
    send(service, response_time_ms=5000)
    send(service, "e1", usage={}, cost_usd="1")
    send(service, "e2", status_code=500, cost_usd="0.5")
    send(service, "e3", model="nobody-knows", cost_usd=None)

    figures = service.get("usage/summary/", account="a").json()
    counted = ("total_calls", "total_tokens", "total_cost_usd", "errors", "error_rate", "unpriced_calls")
    assert [figures[name] for name in counted] == [31, 3000, "3.5", 10, 32.26, 10]
    assert (figures["estimated_calls"], figures["avg_response_time_ms"]) == (0, 161)
    (openai,) = figures["provider_breakdown"]
    assert (openai["calls"], openai["errors"], openai["unpriced_calls"], openai["estimated_calls"]) == (31, 10, 10, 0)
    assert service.get("usage/trends/", account="a", months="1").json()["calls"] == [31]
    assert service.get("dashboard/", account="a").json()["summary"]["total_calls"] == 31
    assert service.get("usage/summary/").json()["total_calls"] == 31
    assert_nothing_to_correct()


def test_a_failed_row_without_usage_counts_its_calls_as_errors_but_in_no_meter(service: Api) -> None:
    send(service, usage={"requests": 3}, cost_usd=None, status_code=503)

    figures = service.get("usage/summary/", account="a").json()
    assert (figures["total_calls"], figures["errors"], figures["error_rate"]) == (3, 3, 100.0)
    assert used_and_reserved(Account.objects.get(), NOON, METER) == (0, 0)
    assert_nothing_to_correct()


def test_limits_count_its_calls(service: Api) -> None:
    set_limits({METER: 12, "monthly_cost": None})
    send(service)

    def preflight(count: int) -> tuple[Any, ...]:
        operation = {"provider": "openai", "model": "gpt-4o", "count": count, "estimate": {"cost_usd": "0.1"}}
        answer = service.post("preflight/", {"account": "a", "operations": [operation]}).json()
        (meter,) = [meter for meter in answer["operations"][0]["meters"] if meter["meter"] == METER]
        return answer["allowed"], meter["used"], meter["requested"]

    assert preflight(2) == (True, 10, 2)
    assert preflight(3) == (False, 10, 3)


def test_a_reservation_of_aggregated_rows_holds_their_calls(service: Api) -> None:
    set_limits({METER: 25, "monthly_cost": None})
    send(service, "first", usage={})
    operation = {"provider": "openai", "model": "gpt-4o", "count": 2, "estimate": {"requests": 10, "cost_usd": "2"}}
    request = {"account": "a", "reservation_id": "r1", "operations": [operation]}

    assert service.post("reservations/", request).status_code == 201
    assert used_and_reserved(Account.objects.get(), NOON, METER) == (1, 20)
    refused = service.post("reservations/", {**request, "reservation_id": "r2"})
    assert (refused.status_code, refused.json()["limit"]["requested"]) == (429, 20)

    send(service, reservation_id="r1", usage={"requests": 20})
    assert used_and_reserved(Account.objects.get(), NOON, METER) == (21, 0)
    assert_nothing_to_correct()


def test_a_reservation_that_is_exceeded_by_calls_is_over(service: Api) -> None:
    set_limits({METER: 25, "monthly_cost": None})
    send(service, "first", usage={})
    operation = {"provider": "openai", "model": "gpt-4o", "count": 9, "estimate": {"cost_usd": "2"}}
    service.post("reservations/", {"account": "a", "reservation_id": "r1", "operations": [operation]})

    send(service, reservation_id="r1", usage={"requests": 10})
    account = Account.objects.get()
    (reservation,) = account.usagereservation_set.all()
    assert (reservation.state, reservation.over) == ("settled", True)


def test_rows_csv_and_the_answer_have_the_calls_and_the_reason(service: Api) -> None:
    answer = send(service)
    unpriced = send(service, "e1", usage={}, cost_usd=None, model="nobody-knows")

    assert (answer["usage_state"], answer["unpriced_reason"]) == ("complete", None)
    assert (unpriced["usage_state"], unpriced["unpriced_reason"]) == ("complete", "price_unknown")
    expected = {"e0": (10, "complete", None), "e1": (1, "complete", "price_unknown")}
    rows = service.get("usage/logs/").json()["results"]
    assert {row["event_id"]: (row["calls"], row["usage_state"], row["unpriced_reason"]) for row in rows} == expected
    lines = csv.DictReader(io.StringIO(service.get("usage/logs/", format="csv").getvalue().decode(), newline=""))
    assert {line["event_id"]: (line["calls"], line["usage_state"], line["unpriced_reason"]) for line in lines} == {
        "e0": ("10", "complete", ""),
        "e1": ("1", "complete", "price_unknown"),
    }
    page = service.get(f"usage/logs/{answer['id']}/").json()
    assert (page["calls"], page["reading"]) == (10, None)


def test_a_repeat_is_answered_with_the_same_state_and_reason(service: Api) -> None:
    event = {"event_id": "e0", "account": "a", **TEN, "model": "nobody-knows", "cost_usd": None}
    first, second = service.post("usage/", event), service.post("usage/", event)
    assert (first.status_code, second.status_code) == (201, 200)
    assert {**second.json(), "status": "accepted"} == first.json()
    assert first.json()["unpriced_reason"] == "price_unknown"
    refused = service.post("usage/", {"events": [{"event_id": "e1"}]}).json()["results"][0]
    assert (refused["usage_state"], refused["unpriced_reason"]) == (None, None)


def test_a_void_takes_all_its_calls_out_and_its_revert_brings_them_back(service: Api) -> None:
    send(service)
    log = UsageLog.objects.get()
    corrections.void(log, reason="x", actor="ann", at=NOON)
    assert service.get("usage/summary/", account="a").json()["total_calls"] == 0
    assert_nothing_to_correct()

    adjustment = log.usageadjustment_set.get()
    corrections.revert_adjustment(adjustment, reason="y", actor="ann", at=NOON)
    assert service.get("usage/summary/", account="a").json()["total_calls"] == 10
    assert_nothing_to_correct()


def test_provider_health_counts_its_calls_with_their_mean_time(service: Api) -> None:
    send(service, response_time_ms=3000)
    send(service, "e1", status_code=500)

    sums = ProviderMinute.objects.aggregate(*map(Sum, ("calls", "errors", "response_time_sum", "ms_500")))
    assert list(sums.values()) == [20, 10, 3000, 10]
    (openai,) = provider_health.measure(NOON).providers
    assert (openai.calls, openai.errors, openai.error_rate) == (20, 10, 50.0)
    assert_nothing_to_correct()


def test_statement_and_archive_have_its_calls(service: Api, settings: Any, tmp_path: Path) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    event = {"account": "a", **TEN}
    record(event, {**event, "cost_usd": None, "model": "nobody-knows"}, {"account": "a"}, at=IN_OCTOBER)
    archived_periods.close_periods()
    statement = Statement.objects.get()
    assert (statement.calls, [row["calls"] for row in statement.usage]) == (21, [21])
    before = rollups()

    archived_periods.export_and_delete()

    assert archived_periods.archive_states() == {"a": "deleted"}
    assert (UsageLog.objects.count(), rollups()) == (0, before)
    assert_nothing_to_correct()
    again = record({**event, "cost_usd": None, "model": "nobody-knows", "event_id": "e1"}, at=DUE_AT + 2 * HOUR)
    assert [(item.status, item.usage_state, item.unpriced_reason) for item in again] == [
        ("duplicate", "complete", "price_unknown")
    ]
