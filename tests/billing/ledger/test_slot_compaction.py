"""Past platform days, gathered: one row a figure, the same sums, and nothing lost beside writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from django.db import connection
from django.db.models import Sum

from billing.ledger import rollups, slot_compaction
from billing.models import Account, PlatformDay
from billing.verification import verify
from lib import retry, upsert
from tests.billing.usage import record

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = NOW.date() - timedelta(days=10)


@pytest.fixture
def spread(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two providers in three slots each, ten days ago, yesterday and today."""
    slots = cycle((3, 0, 7))
    monkeypatch.setattr(rollups, "randbelow", lambda _most: next(slots))
    for days in (10, 1, 0):
        for number in range(3):
            at = (NOW - timedelta(days=days)).isoformat()
            two = [
                {"event_id": f"{days}-{number}-{name}", "provider": name, "occurred_at": at}
                for name in ("exa", "tavily")
            ]
            record(account, NOW, *two)


def rows() -> list[tuple[int, str, int, int]]:
    found = PlatformDay.objects.order_by("day", "actual", "slot").values_list("day", "actual", "slot", "calls")
    return [((NOW.date() - day).days, actual, slot, calls) for day, actual, slot, calls in found]


@pytest.mark.django_db
def test_days_that_are_over_have_one_row_a_figure_and_the_ledger_is_right(spread: None) -> None:
    running = [row for row in rows() if row[0] < 2]

    assert slot_compaction.compact(NOW) == 1
    assert rows() == [(10, "exa", 0, 3), (10, "tavily", 0, 3), *running]
    assert len(running) == 12
    assert [str(one) for part in verify.parts() for one in part.differences] == []


@pytest.mark.django_db
def test_a_second_run_finds_nothing_and_what_comes_later_is_added(spread: None, account: Account) -> None:
    slot_compaction.compact(NOW)
    assert slot_compaction.compact(NOW) == 0
    record(account, NOW, {"event_id": "late", "provider": "exa", "occurred_at": (NOW - timedelta(days=10)).isoformat()})

    assert slot_compaction.compact(NOW) == 1
    assert rows()[0] == (10, "exa", 0, 4)


def _count(number: int) -> None:
    """As recording does it: one call, in one of three slots."""
    counts = [1 if counter == "calls" else 0 for counter in rollups.DAY_COUNTS]
    keys = (DAY, "exa", "exa", "search", 1 + number % 3)
    sums = upsert.Sums("platform_days", rollups.PLATFORM_DAYS.keys, rollups.DAY_COUNTS, [(*keys, *counts)])
    retry.on_deadlock(lambda: upsert.add(connection, sums))


def _writes(first: int) -> None:
    for number in range(first, first + 20):
        _count(number)
    connection.close()


def _gathers(times: int) -> None:
    for _ in range(times):
        slot_compaction.compact(NOW)
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_beside_writers() -> None:
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(_writes, first) for first in (0, 100, 200)] + [pool.submit(_gathers, 10)]
    assert [one.exception() for one in done] == [None] * 4

    slot_compaction.compact(NOW)
    assert list(PlatformDay.objects.filter(day=DAY).values_list("slot", "calls")) == [(0, 60)]
    assert PlatformDay.objects.aggregate(all=Sum("calls"))["all"] == 60
