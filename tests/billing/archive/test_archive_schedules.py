"""An account whose anchor and zone change again and again: its periods are archived whole, and nothing beside them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.models import Account, Archive, ArchivedEvent, ClosedPeriod, UsageLog
from billing.plans import anchor_changes
from billing.statements import statements
from lib import periods
from tests.billing import archived_periods, members
from tests.billing.archived_periods import HOUR
from tests.billing.ledger_rows import assert_equal, record, rollups

pytestmark = pytest.mark.django_db

FIRST, LAST = datetime(2026, 12, 5, 12, tzinfo=UTC), datetime(2027, 11, 20, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo", "America/Santiago")
ANCHORS = (1, 10, 15, 28, 31)
LAGS = (0, 0, 0, 1, 24, 24 * 20, 24 * 34)  # hours
BORDERS = [timedelta(microseconds=around) for around in (-1, 0, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_every_closed_period_is_archived_whole(seed: int, settings: Any, tmp_path: Path) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 1, str(tmp_path)
    account = members.account("a")
    count = _year(account, random.Random(seed))
    _close(LAST + timedelta(days=40))
    account.refresh_from_db()
    for day, period in UsageLog.objects.values_list("usage_day", "usage_period"):
        assert periods.start_of(account.schedule, day) == period
    before = rollups()

    archived_periods.archive(LAST + timedelta(days=60))
    assert set(Archive.objects.values_list("trouble", flat=True)) == {""}
    assert set(archived_periods.states().values()) == {"deleted"}
    closed = set(ClosedPeriod.objects.values_list("period", flat=True))
    assert closed.isdisjoint(UsageLog.objects.values_list("usage_period", flat=True))
    assert UsageLog.objects.count() + ArchivedEvent.objects.count() == count
    assert rollups() == before
    assert_equal()


def test_a_call_that_a_change_of_zone_leaves_behind_the_end_of_its_day_goes_with_its_period(
    settings: Any, tmp_path: Path
) -> None:
    """Imports know calls ahead of the clock; of a zone whose rules change late, any call may stand so."""
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 1, str(tmp_path)
    at = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
    record({"event_id": "ahead", "occurred_at": "2026-11-30T23:30:00Z"}, at=at)
    anchor_changes.change(Account.objects.get(), anchor_day=1, timezone="Pacific/Auckland", at=at)
    _close(at + timedelta(days=5))

    archived_periods.archive(at + timedelta(days=10))
    assert (archived_periods.states(), UsageLog.objects.count()) == ({"a": "deleted"}, 0)
    assert_equal()


def _year(account: Account, chance: random.Random) -> int:
    """Calls at random moments, some late, some around a border, while the schedule changes; how many."""
    at, count = FIRST, 0
    while (at := at + HOUR * chance.uniform(1, 60)) < LAST:
        if chance.random() < 0.06:
            anchor_changes.change(account, anchor_day=chance.choice(ANCHORS), timezone=chance.choice(ZONES), at=at)
        occurred = at - HOUR * chance.choice(LAGS)
        if chance.random() < 0.3:
            running = periods.start_of(account.schedule, periods.local_day(account.schedule, at))
            border = periods.starts_at(account.schedule, running) + chance.choice(BORDERS)
            occurred = border if at - timedelta(days=34) < border <= at else at
        record({"event_id": f"e{count}", "occurred_at": occurred.isoformat()}, at=at)
        count += 1
        if chance.random() < 0.2:
            _close(at)
    return count


def _close(at: datetime) -> None:
    Account.objects.update(next_close_at=None)
    statements.close_due(at)
