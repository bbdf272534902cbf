"""Compaction of past platform days: one row per key, the same sums, and no lost counts under concurrent writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from django.db import connection
from django.db.models import Sum

from billing.ledger import rollups, slot_compaction
from billing.models import Account, PlatformDay
from lib import retry, upsert
from tests.billing.ledger_rows import differences
from tests.billing.usage import record

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAST_DAY = NOON.date() - timedelta(days=10)


@pytest.fixture
def spread_over_slots(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two providers in three slots each, ten days ago, yesterday and today."""
    slots = cycle((3, 0, 7))
    monkeypatch.setattr(rollups, "randbelow", lambda _upper: next(slots))
    for days in (10, 1, 0):
        for number in range(3):
            at = (NOON - timedelta(days=days)).isoformat()
            both = [
                {"event_id": f"{days}-{number}-{name}", "provider": name, "occurred_at": at}
                for name in ("exa", "tavily")
            ]
            record(account, NOON, *both)


def rows() -> list[tuple[int, str, int, int]]:
    """Age in days, actual provider, slot and calls."""
    days = PlatformDay.objects.order_by("day", "actual", "slot").values_list("day", "actual", "slot", "calls")
    return [((NOON.date() - day).days, actual, slot, calls) for day, actual, slot, calls in days]


@pytest.mark.django_db
def test_past_days_have_one_row_per_key_and_the_ledger_stays_consistent(spread_over_slots: None) -> None:
    recent = [row for row in rows() if row[0] < 2]

    assert slot_compaction.compact(NOON) == 1
    assert rows() == [(10, "exa", 0, 3), (10, "tavily", 0, 3), *recent]
    assert len(recent) == 12
    assert differences() == []


@pytest.mark.django_db
def test_a_second_run_changes_nothing_and_late_calls_are_added(spread_over_slots: None, account: Account) -> None:
    slot_compaction.compact(NOON)
    assert slot_compaction.compact(NOON) == 0
    record(
        account, NOON, {"event_id": "late", "provider": "exa", "occurred_at": (NOON - timedelta(days=10)).isoformat()}
    )

    assert slot_compaction.compact(NOON) == 1
    assert rows()[0] == (10, "exa", 0, 4)


def _count_call(number: int) -> None:
    """Counts one call in one of three slots, with the upsert of recording."""
    counts = [1 if counter == "calls" else 0 for counter in rollups.DAY_COUNTERS]
    keys = (PAST_DAY, "exa", "exa", "search", 1 + number % 3)
    sums = upsert.Increments("platform_days", rollups.PLATFORM_DAYS.keys, rollups.DAY_COUNTERS, [(*keys, *counts)])
    retry.on_deadlock(lambda: upsert.increment(connection, sums))


def _write_calls(first: int) -> None:
    for number in range(first, first + 20):
        _count_call(number)
    connection.close()


def _compact(times: int) -> None:
    for _ in range(times):
        slot_compaction.compact(NOON)
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_no_count_is_lost_while_others_write() -> None:
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(_write_calls, first) for first in (0, 100, 200)] + [pool.submit(_compact, 10)]
    assert [future.exception() for future in futures] == [None] * 4

    slot_compaction.compact(NOON)
    assert list(PlatformDay.objects.filter(day=PAST_DAY).values_list("slot", "calls")) == [(0, 60)]
    assert PlatformDay.objects.aggregate(all=Sum("calls"))["all"] == 60
