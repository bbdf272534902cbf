"""An account whose anchor day and time zone change often: its closed periods are archived completely, and nothing else."""

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
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups

pytestmark = pytest.mark.django_db

FIRST_CALL_AT, LAST_CALL_AT = datetime(2026, 12, 5, 12, tzinfo=UTC), datetime(2027, 11, 20, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo", "America/Santiago")
ANCHOR_DAYS = (1, 10, 15, 28, 31)
LAG_HOURS = (0, 0, 0, 1, 24, 24 * 20, 24 * 34)
BOUNDARY_OFFSETS = [timedelta(microseconds=microseconds) for microseconds in (-1, 0, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_every_closed_period_is_archived_completely(seed: int, settings: Any, tmp_path: Path) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 1, str(tmp_path)
    account = members.create_account("a")
    count = _record_year(account, random.Random(seed))
    _close_periods(LAST_CALL_AT + timedelta(days=40))
    account.refresh_from_db()
    for day, period in UsageLog.objects.values_list("usage_day", "usage_period"):
        assert periods.period_start(account.schedule, day) == period
    before = rollups()

    archived_periods.export_and_delete(LAST_CALL_AT + timedelta(days=60))
    assert set(Archive.objects.values_list("trouble", flat=True)) == {""}
    assert set(archived_periods.archive_states().values()) == {"deleted"}
    closed = set(ClosedPeriod.objects.values_list("period", flat=True))
    assert closed.isdisjoint(UsageLog.objects.values_list("usage_period", flat=True))
    assert UsageLog.objects.count() + ArchivedEvent.objects.count() == count
    assert rollups() == before
    assert_ledger_consistent()


def test_a_call_dated_after_the_end_of_its_day_is_archived_with_its_period(settings: Any, tmp_path: Path) -> None:
    """A late change of the zone's rules can do this to any call; here, a change of zone dated before the call."""
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 1, str(tmp_path)
    at = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
    record({"event_id": "ahead", "occurred_at": "2026-11-30T23:30:00Z"}, at=at + timedelta(hours=14))
    anchor_changes.change(Account.objects.get(), anchor_day=1, timezone="Pacific/Auckland", at=at)
    _close_periods(at + timedelta(days=5))

    archived_periods.export_and_delete(at + timedelta(days=10))
    assert (archived_periods.archive_states(), UsageLog.objects.count()) == ({"a": "deleted"}, 0)
    assert_ledger_consistent()


def _record_year(account: Account, generator: random.Random) -> int:
    """Records calls at random times, some late or at a period boundary, while the schedule changes. Returns their number."""
    at, count = FIRST_CALL_AT, 0
    while (at := at + HOUR * generator.uniform(1, 60)) < LAST_CALL_AT:
        if generator.random() < 0.06:
            anchor_changes.change(
                account, anchor_day=generator.choice(ANCHOR_DAYS), timezone=generator.choice(ZONES), at=at
            )
        occurred_at = at - HOUR * generator.choice(LAG_HOURS)
        if generator.random() < 0.3:
            start = periods.period_start(account.schedule, periods.local_day(account.schedule, at))
            boundary = periods.first_instant(account.schedule, start) + generator.choice(BOUNDARY_OFFSETS)
            occurred_at = boundary if at - timedelta(days=34) < boundary <= at else at
        record({"event_id": f"e{count}", "occurred_at": occurred_at.isoformat()}, at=at)
        count += 1
        if generator.random() < 0.2:
            _close_periods(at)
    return count


def _close_periods(at: datetime) -> None:
    Account.objects.update(next_close_at=None)
    statements.close_due(at)
