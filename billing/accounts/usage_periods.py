"""Usage periods of an account, or calendar months in UTC for the platform: current, by name and by start date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from billing.models import Account
from lib import periods
from lib.periods import CALENDAR_UTC, Schedule


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open usage period: local start and end dates, and the same bounds as UTC times."""

    start: date
    end: date
    starts_at: datetime
    ends_at: datetime

    @property
    def name(self) -> str:
        return f"{self.start:%Y-%m}"


def schedule_of(account: Account | None) -> Schedule:
    return account.schedule if account else CALENDAR_UTC


def current_period(account: Account | None, at: datetime) -> Period:
    schedule = schedule_of(account)
    return period_from(schedule, periods.period_start(schedule, periods.local_day(schedule, at)))


def named_period(account: Account | None, name: str) -> Period:
    """The period named like `2026-11`: the one that starts in that month. Raises ValueError for any other name."""
    month = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    if len(name) != len("2026-11") or not 2000 <= month.year <= 2199:
        raise ValueError(name)
    schedule = schedule_of(account)
    start = periods.period_start_in_month(schedule, month.year, month.month)
    if start is None:  # after a schedule change, no period starts in this month
        raise ValueError(name)
    return period_from(schedule, start)


def period_from(schedule: Schedule, start: date) -> Period:
    """The period that starts on `start`."""
    end = periods.next_period_start(schedule, start)
    return Period(start, end, periods.first_instant(schedule, start), periods.first_instant(schedule, end))
