"""`verify_ledger`: equal is 0; every column of every rollup and projection that is off is told, and is 1."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F

from billing.models import PlatformDay, UsageAdjustment, UsageDay, UsageLog, UsageModel
from billing.verification import rollup_check
from tests.billing.ledger_rows import NOW, record, run

pytestmark = pytest.mark.django_db

MIXED: tuple[dict[str, Any], ...] = (
    {"provider": "OpenAI", "model": "GPT-4o ", "usage": {"input_tokens": 7, "output_tokens": 3}},
    {"provider": "video", "model": "É-Model", "cost_usd": None, "response_time_ms": 12},
    {"account": "b", "provider": "tavily", "status_code": 500, "cost_usd": "0"},
    {"account": "b", "occurred_at": "2025-01-31T23:59:59Z", "cost_usd": "0.123456789"},
)


def test_recorded_events_equal_their_rollups() -> None:
    record(*MIXED)

    end = run("verify_ledger")

    assert (end.status, end.lines[-1]) == (0, "12 rows compared, 0 differences.")


def test_an_empty_ledger_is_equal() -> None:
    assert run("verify_ledger")[:2] == (0, "0 rows compared, 0 differences.\n")


def test_late_events_count_on_the_day_of_their_receipt() -> None:
    record({}, at=NOW.replace(month=1))  # makes the account, billed from January
    record({"event_id": "late", "occurred_at": "2026-02-03T00:00:00Z"})

    assert UsageLog.objects.get(event_id="late").late_for == date(2026, 2, 1)
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize("counter", list(rollup_check.SUMS))
def test_drift_of_any_day_counter_is_told(counter: str) -> None:
    record({})
    UsageDay.objects.update(**{counter: F(counter) + 1})
    is_ = UsageDay.objects.values_list(counter, flat=True).get()
    account = UsageLog.objects.get().account_id

    end = run("verify_ledger")

    wrong = f"usage_days {account}, 2026-11-22, openai, openai, text: {counter} is {is_}, should be {is_ - 1}"
    assert (end.status, end.lines) == (1, [wrong, "3 rows compared, 1 differences."])


def test_drift_of_a_model_and_of_the_platform_is_told() -> None:
    record({})
    UsageModel.objects.update(cost_nano=F("cost_nano") - 1)
    PlatformDay.objects.update(calls=F("calls") + 2)
    account = UsageLog.objects.get().account_id

    assert run("verify_ledger").lines == [
        f"usage_models {account}, 2026-11-01, openai, gpt-4o: cost_nano is 999999999, should be 1000000000",
        "platform_days 2026-11-22, openai, openai, text: calls is 3, should be 1",
        "3 rows compared, 2 differences.",
    ]


def test_a_missing_and_a_surplus_row_are_told() -> None:
    record({})
    UsageDay.objects.all().delete()
    UsageModel.objects.create(account_id=10**9, period=date(2026, 1, 1), actual="x", model="y", calls=1)

    assert run("verify_ledger").status == 1
    keys = [(one.table, one.key[-1]) for part in rollup_check.check() for one in part.differences]
    assert keys == [("usage_days", "text"), ("usage_models", "y")]


def adjust(kind: str, delta: int = 0, **more: Any) -> None:
    log = UsageLog.objects.get()
    UsageAdjustment.objects.create(
        account_id=log.account_id,
        log=log,
        kind=kind,
        delta_nano=delta,
        period=log.usage_period,
        corrects_period=log.usage_period,
        created_at=NOW,
        **more,
    )


def wrong() -> list[tuple[tuple[UUID], dict[str, tuple[object, object]]]]:
    found = [one for part in rollup_check.check() for one in part.differences if one.table == "api_usage_logs"]
    return [(one.key, one.columns) for one in found]


def test_a_log_is_worth_its_cost_and_its_adjustments() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    adjust("reprice", 5)
    assert wrong() == [(key, {"effective_nano": (1_000_000_000, 1_000_000_005)})]

    UsageLog.objects.update(effective_nano=1_000_000_005)
    assert wrong() == []

    UsageLog.objects.update(effective_nano=1_000_000_004)
    assert wrong() == [(key, {"effective_nano": (1_000_000_004, 1_000_000_005)})]


def test_a_log_is_voided_where_a_void_says_so() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    UsageLog.objects.update(voided_at=NOW)
    assert wrong() == [(key, {"voided": (True, False)})]

    adjust("void")
    assert wrong() == []

    UsageLog.objects.update(voided_at=None)
    assert wrong() == [(key, {"voided": (False, True)})]


def test_a_log_is_priced_where_its_cost_has_a_source_or_it_was_rated_again() -> None:
    record({"cost_usd": None, "model": "nobody-knows"})
    key = (UsageLog.objects.get().id,)
    UsageLog.objects.update(is_priced=True)
    assert wrong() == [(key, {"is_priced": (True, False)})]

    adjust("reprice", details={"source": "price_book"})
    assert wrong() == []


def test_a_log_has_the_name_that_its_last_redetect_gave_it() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    adjust("redetect", details={"from": "openai", "to": "azure"})
    assert wrong() == [(key, {"actual_provider_name": ("openai", "azure")})]

    adjust("redetect", details={"from": "azure", "to": "openai"})
    assert wrong() == []


def test_many_differences_are_counted_and_the_first_ones_shown() -> None:
    record(*({"occurred_at": f"2026-{month:02}-{day:02}T00:00:00Z"} for month in (9, 10) for day in range(1, 31)))
    UsageDay.objects.update(calls=F("calls") + 1)

    end = run("verify_ledger")

    assert (len(end.lines), end.lines[-1]) == (51, "122 rows compared, 60 differences, the first 50 shown.")


@pytest.mark.django_db(transaction=True)
def test_all_is_read_in_one_snapshot_while_writers_go_on() -> None:
    record({})

    def write() -> None:
        record({"event_id": "meanwhile"})
        connection.close()

    with rollup_check.snapshot():
        before = UsageLog.objects.count()
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
        seen = (before, UsageLog.objects.count(), UsageDay.objects.get().calls)
        differences = [one for part in rollup_check.check() for one in part.differences]
    assert (seen, differences, UsageLog.objects.count()) == ((1, 1, 1), [], 2)
    assert run("verify_ledger").status == 0
