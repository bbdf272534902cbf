"""`verify_ledger` exits with 0 if the ledger is consistent; otherwise it reports each wrong column and exits with 1."""

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
from tests.billing.ledger_rows import NOON, ROLLUP_CHECKS, differences, record, run

pytestmark = pytest.mark.django_db

MIXED_CALLS: tuple[dict[str, Any], ...] = (
    {"provider": "OpenAI", "model": "GPT-4o ", "usage": {"input_tokens": 7, "output_tokens": 3}},
    {"provider": "video", "model": "É-Model", "cost_usd": None, "response_time_ms": 12},
    {"account": "b", "provider": "tavily", "status_code": 500, "cost_usd": "0"},
    {"account": "b", "occurred_at": "2025-01-31T23:59:59Z", "cost_usd": "0.123456789"},
)


def test_rollups_of_recorded_events_are_consistent() -> None:
    record(*MIXED_CALLS)

    result = run("verify_ledger")

    assert (result.status, result.lines[-1]) == (0, "34 rows compared, 0 differences.")


def test_an_empty_ledger_is_consistent() -> None:
    result = run("verify_ledger")

    assert (result.status, result.lines[-1]) == (0, "0 rows compared, 0 differences.")


def test_late_events_count_on_the_day_they_are_received() -> None:
    record({}, at=NOON.replace(month=1))  # creates the account, billed from January
    record({"event_id": "late", "occurred_at": "2026-02-03T00:00:00Z"})

    assert UsageLog.objects.get(event_id="late").late_for == date(2026, 2, 1)
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize("counter", list(rollup_check.COUNTER_SUMS))
def test_drift_in_any_day_counter_is_reported(counter: str) -> None:
    record({})
    UsageDay.objects.update(**{counter: F(counter) + 1})
    actual = UsageDay.objects.values_list(counter, flat=True).get()
    account = UsageLog.objects.get().account_id

    result = run("verify_ledger")

    line = f"usage_days {account}, 2026-11-22, openai, openai, text: {counter} is {actual}, should be {actual - 1}"
    assert (result.status, result.lines[0], result.lines[-1]) == (1, line, "9 rows compared, 1 differences.")


def test_drift_in_model_and_platform_rollups_is_reported() -> None:
    record({})
    UsageModel.objects.update(cost_nano=F("cost_nano") - 1)
    PlatformDay.objects.update(calls=F("calls") + 2)
    account = UsageLog.objects.get().account_id

    lines = run("verify_ledger").lines
    assert [*lines[:2], lines[-1]] == [
        f"usage_models {account}, 2026-11-01, openai, gpt-4o: cost_nano is 999999999, should be 1000000000",
        "platform_days 2026-11-22, openai, openai, text: calls is 3, should be 1",
        "9 rows compared, 2 differences.",
    ]


def test_missing_and_surplus_rows_are_reported() -> None:
    record({})
    UsageDay.objects.all().delete()
    UsageModel.objects.create(account_id=10**9, period=date(2026, 1, 1), actual="x", model="y", calls=1)

    assert run("verify_ledger").status == 1
    keys = [(difference.table, difference.key[-1]) for difference in differences(*ROLLUP_CHECKS)]
    assert keys == [("usage_days", "text"), ("usage_models", "y")]


def add_adjustment(kind: str, delta_nano: int = 0, **fields: Any) -> None:
    log = UsageLog.objects.get()
    UsageAdjustment.objects.create(
        account_id=log.account_id,
        log=log,
        kind=kind,
        delta_nano=delta_nano,
        period=log.usage_period,
        corrects_period=log.usage_period,
        created_at=NOON,
        **fields,
    )


def wrong_logs() -> list[tuple[tuple[UUID], dict[str, tuple[object, object]]]]:
    return [(wrong.key, wrong.columns) for wrong in differences() if wrong.table == "api_usage_logs"]


def test_the_charge_of_a_log_must_be_its_cost_plus_its_adjustments() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    add_adjustment("reprice", 5)
    assert wrong_logs() == [(key, {"effective_nano": (1_000_000_000, 1_000_000_005)})]

    UsageLog.objects.update(effective_nano=1_000_000_005)
    assert wrong_logs() == []

    UsageLog.objects.update(effective_nano=1_000_000_004)
    assert wrong_logs() == [(key, {"effective_nano": (1_000_000_004, 1_000_000_005)})]


def test_a_log_must_be_voided_if_and_only_if_it_has_a_void() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    UsageLog.objects.update(voided_at=NOON)
    assert wrong_logs() == [(key, {"voided_at": (NOON, None)})]

    add_adjustment("void")
    assert wrong_logs() == []

    UsageLog.objects.update(voided_at=None)
    assert wrong_logs() == [(key, {"voided_at": (None, NOON)})]


def test_a_log_must_be_priced_only_if_its_cost_has_a_source_or_it_was_repriced() -> None:
    record({"cost_usd": None, "model": "nobody-knows"})
    key = (UsageLog.objects.get().id,)
    UsageLog.objects.update(is_priced=True)
    assert wrong_logs() == [(key, {"is_priced": (True, False)})]

    add_adjustment("reprice", details={"source": "price_book"})
    assert wrong_logs() == [(key, {"unpriced_reason": ("price_unknown", None)})]
    UsageLog.objects.update(unpriced_reason=None)
    assert wrong_logs() == []


def test_a_log_must_have_the_provider_of_its_last_redetect() -> None:
    record({})
    key = (UsageLog.objects.get().id,)
    add_adjustment("redetect", details={"from": "openai", "to": "azure"})
    assert wrong_logs() == [(key, {"actual_provider_name": ("openai", "azure")})]

    add_adjustment("redetect", details={"from": "azure", "to": "openai"})
    assert wrong_logs() == []


def test_all_differences_are_counted_and_the_first_50_shown() -> None:
    record(*({"occurred_at": f"2026-{month:02}-{day:02}T00:00:00Z"} for month in (9, 10) for day in range(1, 31)))
    UsageDay.objects.update(calls=F("calls") + 1)

    result = run("verify_ledger")

    listed = [line for line in result.lines if ": calls is " in line]
    assert (len(listed), result.lines[-1]) == (50, "423 rows compared, 60 differences, the first 50 shown.")


@pytest.mark.django_db(transaction=True)
def test_the_check_reads_one_snapshot_while_writers_continue() -> None:
    record({})

    def write() -> None:
        record({"event_id": "meanwhile"})
        connection.close()

    with rollup_check.database_snapshot():
        before = UsageLog.objects.count()
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
        counts = (before, UsageLog.objects.count(), UsageDay.objects.get().calls)
        wrong = differences(*ROLLUP_CHECKS)
    assert (counts, wrong, UsageLog.objects.count()) == ((1, 1, 1), [], 2)
    assert run("verify_ledger").status == 0
