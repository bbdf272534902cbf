"""Changing when an account's usage periods start, or its time zone: what is past stays, and when it takes effect is told.

`accounts.anchor_day` and `timezone` are the newest wish; `earlier_schedules` keeps what was in force before, each with the
start of its last period and that of its successor's first. How periods follow from it: lib/periods.py.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

from billing.models import Account
from billing.plans import plans, subscriptions
from lib import periods
from lib.periods import Schedule

# What is being recorded at this moment goes by the schedule that it has read: boundaries within the hour count as past.
LEAD = timedelta(hours=1)


def change(account: Account, *, anchor_day: int, timezone: str, at: datetime) -> date:
    """Store the wish; the start date of the first period that goes by it, or of the running one where nothing changes."""
    with subscriptions.moving(account.pk) as locked:
        subscriptions.up_to_date(locked, at)
        schedule = periods.changed(locked.schedule, anchor_day, timezone, at + LEAD)
        locked.anchor_day, locked.timezone = anchor_day, timezone
        locked.earlier_schedules = _stored(schedule)
        locked.next_close_at = None
        locked.save(update_fields=["anchor_day", "timezone", "earlier_schedules", "next_close_at"])
        subscriptions.follow_schedule(locked)
        plans.configuration_changed(locked)
    account.refresh_from_db()
    return takes_effect(account, at)


def takes_effect(account: Account, at: datetime) -> date:
    """The start date of the first period that goes by the account's anchor and zone: perhaps one that is to come."""
    earlier = account.schedule.earlier
    running = periods.start_of(account.schedule, periods.local_day(account.schedule, at))
    return max(running, earlier.until) if earlier else running


def _stored(schedule: Schedule) -> str:
    """What was in force before, as the column `earlier_schedules` keeps it."""
    rows = []
    earlier = schedule.earlier
    while earlier:
        before = earlier.schedule
        rows.append([before.anchor_day, before.zone, earlier.last.isoformat(), earlier.until.isoformat()])
        earlier = before.earlier
    return json.dumps(rows[::-1]) if rows else ""
