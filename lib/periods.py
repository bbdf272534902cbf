"""Usage periods: one month from an account's anchor day, in its own time zone, half-open. Pure calendar arithmetic.

A schedule's period is named by the local date on which it starts. An anchor that a month does not have falls on that
month's last day (31 January, 28 February, 31 March): the anchor itself is kept, so nothing drifts.

A changed schedule knows the one before it. The period that was running at the change ends where the first period of the
new schedule starts, in a later month, so that no two periods have one name; a month may be left without a period of its
own. Days go by the zone that is in force. Where the zone changes, the last day of the old zone ends at the first midnight
of the new one, so it may be longer or shorter than 24 hours: each instant has one day, and each day belongs to one period.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Schedule(NamedTuple):
    """When an account's periods start: day 1 to 31, and an IANA zone name; and what was in force before."""

    anchor_day: int = 1
    zone: str = "UTC"
    earlier: Earlier | None = None


class Earlier(NamedTuple):
    """A schedule that was replaced: its last period starts on `last`, and the first one of its successor on `until`."""

    schedule: Schedule
    last: date
    until: date


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event counts: the period (its local start date), the local day, and how it came to be late."""

    period: date
    day: date
    late_for: date | None  # the period to which it would have belonged, or None


CALENDAR_UTC = Schedule()
DAY = timedelta(days=1)


def local_day(schedule: Schedule, at: datetime) -> date:
    earlier = schedule.earlier
    if earlier and at < midnight(schedule.zone, earlier.until):
        return min(local_day(earlier.schedule, at), earlier.until - DAY)
    return at.astimezone(_zone(schedule.zone)).date()


def start_of(schedule: Schedule, day: date) -> date:
    """The start date of the period that holds the local `day`."""
    earlier = schedule.earlier
    if earlier and day < earlier.until:
        return min(start_of(earlier.schedule, day), earlier.last)
    start = _anchor_in(schedule, day.year, day.month)
    if day >= start:
        return start
    year, month = _previous(day.year, day.month)
    return _anchor_in(schedule, year, month)


def next_start(schedule: Schedule, start: date) -> date:
    """The start date of the period after the one that starts on `start`."""
    earlier = schedule.earlier
    if earlier and start < earlier.until:
        return earlier.until if start == earlier.last else next_start(earlier.schedule, start)
    year, month = _following(start.year, start.month)
    return _anchor_in(schedule, year, month)


def months_on(schedule: Schedule, start: date, months: int) -> date:
    """The first period start in the month that lies `months` after that of `start`, or later where it has none."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    while (start.year, start.month) < (year, month + 1):
        start = next_start(schedule, start)
    return start


def previous_start(schedule: Schedule, start: date) -> date:
    earlier = schedule.earlier
    if earlier and start <= earlier.until:
        return earlier.last if start == earlier.until else previous_start(earlier.schedule, start)
    year, month = _previous(start.year, start.month)
    return _anchor_in(schedule, year, month)


def named(schedule: Schedule, year: int, month: int) -> date | None:
    """The start date of the period that is called `year-month`: the one that starts in that month, if one does."""
    earlier = schedule.earlier
    if earlier and (year, month) < (earlier.until.year, earlier.until.month):
        start = named(earlier.schedule, year, month)
        return start if start and start <= earlier.last else None
    return _anchor_in(schedule, year, month)


def starts_at(schedule: Schedule, day: date) -> datetime:
    """The first instant of a local day, and so of the period that starts on it."""
    earlier = schedule.earlier
    if earlier and day < earlier.until:
        return min(starts_at(earlier.schedule, day), midnight(schedule.zone, earlier.until))
    return midnight(schedule.zone, day)


def changed(schedule: Schedule, anchor_day: int, zone: str, at: datetime) -> Schedule:
    """The schedule that follows when an account asks `at` for another anchor or zone. What is past stays as it is.

    The period that runs `at` ends at the first boundary of the new schedule that lies in a later month than its start
    and is not past. An earlier change that has not come into force by then is given up; what it put off does not come back
    where that would be past.
    """
    running = start_of(schedule, local_day(schedule, at))
    while schedule.earlier and running < schedule.earlier.until:
        schedule = schedule.earlier.schedule
    wanted = Schedule(anchor_day, zone)
    if wanted == schedule._replace(earlier=None) and starts_at(schedule, next_start(schedule, running)) >= at:
        return schedule
    until = next_start(wanted, running)
    while midnight(zone, until) < at:
        until = next_start(wanted, until)
    return wanted._replace(earlier=Earlier(schedule, running, until))


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
    return start, starts_at(schedule, next_start(schedule, start))


def _anchor_in(schedule: Schedule, year: int, month: int) -> date:
    return date(year, month, min(schedule.anchor_day, monthrange(year, month)[1]))


def _previous(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


def _following(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
