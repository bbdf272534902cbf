"""Usage periods: one month from an account's anchor day, in its own time zone, half-open. Pure calendar arithmetic.

A period is named by the local date on which it starts. In a month without the anchor day, the period starts on the month's
last day (31 January, 28 February, 31 March); the anchor itself does not change, so nothing drifts.

A changed schedule refers to the one that it replaced. The period that runs at the change ends where the first period of the
new schedule starts, in a later month, so no two periods have the same name; a month may have no period of its own. Days
follow the time zone in force. At a change of zone, the last day of the old zone ends at the first midnight of the new one,
so it may be longer or shorter than 24 hours: each instant belongs to one day, and each day to one period.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Schedule(NamedTuple):
    """When an account's periods start: anchor day 1 to 31, IANA zone name, and the schedule in force before."""

    anchor_day: int = 1
    zone: str = "UTC"
    earlier: ReplacedSchedule | None = None


class ReplacedSchedule(NamedTuple):
    """A replaced schedule, the start of its last period, and the start of its successor's first period."""

    schedule: Schedule
    last_start: date
    successor_start: date


@dataclass(frozen=True, slots=True)
class PeriodPlacement:
    """Where an event counts: the local start date of the period, and the local day."""

    period: date
    day: date
    late_for: date | None  # for a late event: the closed period in which it occurred


CALENDAR_UTC = Schedule()
DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def local_day(schedule: Schedule, at: datetime) -> date:
    earlier = schedule.earlier
    if earlier and at < midnight(schedule.zone, earlier.successor_start):
        return min(local_day(earlier.schedule, at), earlier.successor_start - DAY)
    return at.astimezone(_zone(schedule.zone)).date()


def period_start(schedule: Schedule, day: date) -> date:
    """The start date of the period that contains the local `day`."""
    earlier = schedule.earlier
    if earlier and day < earlier.successor_start:
        return min(period_start(earlier.schedule, day), earlier.last_start)
    start = _anchor_date(schedule, day.year, day.month)
    if day >= start:
        return start
    year, month = _previous_month(day.year, day.month)
    return _anchor_date(schedule, year, month)


def next_period_start(schedule: Schedule, start: date) -> date:
    """The start date of the period after the one that starts on `start`."""
    earlier = schedule.earlier
    if earlier and start < earlier.successor_start:
        return earlier.successor_start if start == earlier.last_start else next_period_start(earlier.schedule, start)
    year, month = _next_month(start.year, start.month)
    return _anchor_date(schedule, year, month)


def period_start_after_months(schedule: Schedule, start: date, months: int) -> date:
    """The period start in the month `months` after that of `start`, or the next one if that month has none."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    while (start.year, start.month) < (year, month + 1):
        start = next_period_start(schedule, start)
    return start


def previous_period_start(schedule: Schedule, start: date) -> date:
    earlier = schedule.earlier
    if earlier and start <= earlier.successor_start:
        return (
            earlier.last_start if start == earlier.successor_start else previous_period_start(earlier.schedule, start)
        )
    year, month = _previous_month(start.year, start.month)
    return _anchor_date(schedule, year, month)


def period_start_in_month(schedule: Schedule, year: int, month: int) -> date | None:
    """The start date of the period named `year-month`, or None if no period starts in that month."""
    earlier = schedule.earlier
    if earlier and (year, month) < (earlier.successor_start.year, earlier.successor_start.month):
        start = period_start_in_month(earlier.schedule, year, month)
        return start if start and start <= earlier.last_start else None
    return _anchor_date(schedule, year, month)


def first_instant(schedule: Schedule, day: date) -> datetime:
    """The first instant of a local day, as aware UTC."""
    earlier = schedule.earlier
    if earlier and day < earlier.successor_start:
        return min(first_instant(earlier.schedule, day), midnight(schedule.zone, earlier.successor_start))
    return midnight(schedule.zone, day)


def change_schedule(schedule: Schedule, anchor_day: int, zone: str, at: datetime) -> Schedule:
    """The schedule after a change of anchor or zone at `at`. Days and periods of instants before `at` stay as they are.

    The period running at `at` ends at the first boundary of the new schedule that is not past, lies in a later month than
    the period's start, and starts no day that was used before `at`: the old zone may be ahead. An earlier change that is not
    yet in force is dropped, but boundaries that it removed do not return if they are past.
    """
    running = period_start(schedule, local_day(schedule, at))
    last_day = local_day(schedule, at - _MICROSECOND)
    while schedule.earlier and _is_unused(schedule.zone, schedule.earlier, at):
        schedule = schedule.earlier.schedule
    new = Schedule(anchor_day, zone)
    if new == schedule._replace(earlier=None) and first_instant(schedule, next_period_start(schedule, running)) >= at:
        return schedule
    first_start = next_period_start(new, running)
    while first_start <= last_day or midnight(zone, first_start) < at:
        first_start = next_period_start(new, first_start)
    return new._replace(earlier=ReplacedSchedule(schedule, running, first_start))


def _is_unused(zone: str, earlier: ReplacedSchedule, at: datetime) -> bool:
    """Whether the successor, in `zone`, is not in force at `at` and has ended no day before `at` later than `earlier` would."""
    return at < midnight(zone, earlier.successor_start) and (
        local_day(earlier.schedule, at - _MICROSECOND) < earlier.successor_start
    )


def regular_cycle_days(schedule: Schedule, start: date, months: int) -> int:
    """Days from the period start `start` to the anchor date `months` later under the schedule in force at `start`.

    A later change of the schedule does not change this number.
    """
    while schedule.earlier and start < schedule.earlier.successor_start:
        schedule = schedule.earlier.schedule
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return (_anchor_date(schedule, year, month + 1) - start).days


@lru_cache(maxsize=4096)
def midnight(zone: str, day: date) -> datetime:
    """Local midnight as aware UTC; where DST skips midnight, the day's first instant."""
    return datetime.combine(day, time.min, tzinfo=_zone(zone)).astimezone(UTC)


def place_event(
    schedule: Schedule,
    occurred_at: datetime,
    received_at: datetime,
    *,
    billed_from: date,
    grace: timedelta,
    closed_before: date | None = None,
) -> PeriodPlacement:
    """Decide at receipt, once and for all, where an event counts.

    It counts in the period of `occurred_at` until `grace` after that period's end, unless its day is before `closed_before`
    (already closed, under a shorter grace); and at any time if the day is before `billed_from` (history, never on a
    statement). Otherwise it counts in the open period, with `late_for` set.
    """
    day = local_day(schedule, occurred_at)
    period, end = _period_bounds(schedule, day)
    is_open = received_at < end + grace and (closed_before is None or day >= closed_before)
    if is_open or day < billed_from:
        return PeriodPlacement(period, day, None)
    received_day = local_day(schedule, received_at)
    return PeriodPlacement(period_start(schedule, received_day), received_day, period)


@lru_cache(maxsize=4096)
def _period_bounds(schedule: Schedule, day: date) -> tuple[date, datetime]:
    """The start date and the end instant of the period that contains the local `day`."""
    start = period_start(schedule, day)
    return start, first_instant(schedule, next_period_start(schedule, start))


def _anchor_date(schedule: Schedule, year: int, month: int) -> date:
    return date(year, month, min(schedule.anchor_day, monthrange(year, month)[1]))


def _previous_month(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


def _next_month(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


def is_known(schedule: Schedule) -> bool:
    """Whether this host knows the schedule's time zones, without which no instant has a local day."""
    try:
        _zone(schedule.zone)
    except ZoneInfoNotFoundError:
        return False
    return schedule.earlier is None or is_known(schedule.earlier.schedule)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
