"""Usage periods: one month from an account's anchor day, in its own time zone, half-open. Pure calendar arithmetic.

A schedule's period is named by the local date on which it starts. An anchor that a month does not have falls on that
month's last day (31 January, 28 February, 31 March): the anchor itself is kept, so nothing drifts.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Schedule(NamedTuple):
    """When an account's periods start: day 1 to 31, and an IANA zone name."""

    anchor_day: int = 1
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event counts: the period (its local start date), the local day, and how it came to be late."""

    period: date
    day: date
    late_for: date | None  # the period to which it would have belonged, or None


CALENDAR_UTC = Schedule()


def local_day(schedule: Schedule, at: datetime) -> date:
    return at.astimezone(_zone(schedule.zone)).date()


def start_of(schedule: Schedule, day: date) -> date:
    """The start date of the period that holds the local `day`."""
    start = _anchor_in(schedule, day.year, day.month)
    if day >= start:
        return start
    year, month = _previous(day.year, day.month)
    return _anchor_in(schedule, year, month)


def next_start(schedule: Schedule, start: date) -> date:
    """The start date of the period after the one that starts on `start`."""
    year, month = _following(start.year, start.month)
    return _anchor_in(schedule, year, month)


def previous_start(schedule: Schedule, start: date) -> date:
    year, month = _previous(start.year, start.month)
    return _anchor_in(schedule, year, month)


def named(schedule: Schedule, year: int, month: int) -> date:
    """The start date of the period that is called `year-month`: the one that starts in that month."""
    return _anchor_in(schedule, year, month)


@lru_cache(maxsize=4096)
def midnight(zone: str, day: date) -> datetime:
    """The first instant of a local day as aware UTC; where DST skips midnight, the first instant that there is."""
    return datetime.combine(day, time.min, tzinfo=_zone(zone)).astimezone(UTC)


def place(
    schedule: Schedule, occurred_at: datetime, received_at: datetime, *, billed_from: date, grace: timedelta
) -> Place:
    """Decide once, at receipt, where an event counts.

    That is the period of `occurred_at` while this is open (until `grace` after its end), or for ever where it lies before
    the account's `billed_from` (history, never statemented); else the open period, and `late_for` says which it missed.
    """
    day = local_day(schedule, occurred_at)
    period, end = _around(schedule, day)
    if received_at < end + grace or day < billed_from:
        return Place(period, day, None)
    received_day = local_day(schedule, received_at)
    return Place(start_of(schedule, received_day), received_day, period)


@lru_cache(maxsize=4096)
def _around(schedule: Schedule, day: date) -> tuple[date, datetime]:
    """The period that holds the local `day`: its start date, and its end as an instant."""
    start = start_of(schedule, day)
    return start, midnight(schedule.zone, next_start(schedule, start))


def _anchor_in(schedule: Schedule, year: int, month: int) -> date:
    return date(year, month, min(schedule.anchor_day, monthrange(year, month)[1]))


def _previous(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


def _following(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
