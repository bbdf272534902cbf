"""Usage periods of an account, or the platform's calendar months in UTC: the current one, one by name, one by its start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from billing.models import Account
from lib import periods
from lib.periods import CALENDAR_UTC, Schedule


@dataclass(frozen=True, slots=True)
class Period:
    """A usage period: its local start and end dates, and its first and last instants (half-open, UTC)."""

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
    return period_from(schedule, periods.start_of(schedule, periods.local_day(schedule, at)))


def named_period(account: Account | None, name: str) -> Period:
    """The period called `2026-11`: the one that starts in that month. Raises ValueError for anything else."""
    month = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    if len(name) != len("2026-11") or not 2000 <= month.year <= 2199:
        raise ValueError(name)
    schedule = schedule_of(account)
    start = periods.named(schedule, month.year, month.month)
    if start is None:  # a changed schedule left this month without one
        raise ValueError(name)
    return period_from(schedule, start)


def period_from(schedule: Schedule, start: date) -> Period:
    """The period that starts on `start`."""
    end = periods.next_start(schedule, start)
    return Period(start, end, periods.starts_at(schedule, start), periods.starts_at(schedule, end))
