"""Changes of an account's anchor day or time zone. Past usage periods keep their dates.

`accounts.anchor_day` and `timezone` hold the newest setting; `earlier_schedules` holds the previous ones, each with the start
of its last period and the start of the first period after it. lib/periods.py derives the periods from them.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

from billing.models import Account
from billing.plans import plans, subscriptions
from lib import periods, retry
from lib.periods import Schedule

# Calls being recorded right now still use the old schedule, so a boundary within the next hour counts as past.
LEAD_TIME = timedelta(hours=1)


def change(account: Account, *, anchor_day: int, timezone: str, at: datetime, actor: str = "") -> date:
    """Store the new schedule, and settle the fee where it moves the end of a subscription's cycle.

    Returns the start date of the new schedule's first period; of the open period where nothing changes.
    """
    _change(account.pk, anchor_day, timezone, at, actor)
    account.refresh_from_db()
    return effective_date(account, at)


@retry.atomic
def _change(account_id: int, anchor_day: int, timezone: str, at: datetime, actor: str) -> None:
    with subscriptions.locked_account(account_id) as locked:
        subscriptions.advance(locked, at)
        schedule = periods.change_schedule(locked.schedule, anchor_day, timezone, at + LEAD_TIME)
        locked.anchor_day, locked.timezone = anchor_day, timezone
        locked.earlier_schedules = _earlier_as_json(schedule)
        locked.next_close_at = None
        locked.save(update_fields=["anchor_day", "timezone", "earlier_schedules", "next_close_at"])
        subscriptions.follow_schedule(locked, actor=actor, at=at)
        plans.bump_config_version(locked)


def effective_date(account: Account, at: datetime) -> date:
    """The local start date of the first period under the current anchor and zone; may be in the future."""
    earlier = account.schedule.earlier
    open_start = periods.period_start(account.schedule, periods.local_day(account.schedule, at))
    return max(open_start, earlier.successor_start) if earlier else open_start


def _earlier_as_json(schedule: Schedule) -> str:
    """The earlier schedules, oldest first, in the format of the column `earlier_schedules`."""
    rows = []
    earlier = schedule.earlier
    while earlier:
        previous = earlier.schedule
        rows.append(
            [previous.anchor_day, previous.zone, earlier.last_start.isoformat(), earlier.successor_start.isoformat()]
        )
        earlier = previous.earlier
    return json.dumps(rows[::-1]) if rows else ""
