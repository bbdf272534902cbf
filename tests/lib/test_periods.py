"""R11: usage periods are contiguous, half-open and keep their anchor day in every zone; events are placed in them."""

from __future__ import annotations

import zoneinfo
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import periods
from lib.periods import PeriodPlacement, Schedule

MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=72)
NEVER_BILLED = date(1, 1, 1)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
schedules = st.builds(Schedule, anchor_day=st.integers(1, 31), zone=st.sampled_from(ZONES), earlier=st.none())
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - st adds the zone


def bounds(schedule: Schedule, start: date) -> tuple[datetime, datetime]:
    end = periods.next_period_start(schedule, start)
    return periods.midnight(schedule.zone, start), periods.midnight(schedule.zone, end)


@settings(deadline=None)  # a slow machine is not a failure
@given(schedules, moments)
def test_every_moment_is_in_one_period_and_its_boundaries_are_exact(schedule: Schedule, at: datetime) -> None:
    start = periods.period_start(schedule, periods.local_day(schedule, at))
    first, end = bounds(schedule, start)

    assert first <= at < end
    for moment, period in (
        (first - MICROSECOND, periods.previous_period_start(schedule, start)),
        (first, start),
        (first + MICROSECOND, start),
        (end - MICROSECOND, start),
        (end, periods.next_period_start(schedule, start)),
    ):
        assert periods.period_start(schedule, periods.local_day(schedule, moment)) == period


@settings(deadline=None)  # a slow machine is not a failure
@given(schedules)
def test_ten_years_of_periods_are_contiguous_and_keep_the_anchor(schedule: Schedule) -> None:
    start = periods.period_start(schedule, date(2020, 1, 31))
    for month in range(120):
        year, number = 2020 + month // 12, month % 12 + 1
        assert start == periods.period_start_in_month(schedule, year, number)
        assert (start.year, start.month) == (year, number)
        assert start.day == min(schedule.anchor_day, monthrange(year, number)[1])
        following = periods.next_period_start(schedule, start)
        assert bounds(schedule, start)[1] == bounds(schedule, following)[0]
        assert periods.previous_period_start(schedule, following) == start
        assert 28 <= (following - start).days <= 31
        start = following


def test_an_anchor_day_of_31_does_not_drift() -> None:
    starts = [date(2027, 1, 31)]
    for _ in range(4):
        starts.append(periods.next_period_start(Schedule(31), starts[-1]))
    assert [str(start) for start in starts] == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
    assert periods.next_period_start(Schedule(31), date(2028, 1, 31)) == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", 25),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24.5),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00", 23),  # midnight is skipped
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", 25),  # midnight occurs twice; the first counts
        ("UTC", "2026-11-01", "2026-11-01T00:00", 24),
    ],
)
def test_a_day_begins_at_its_first_instant_and_has_its_real_length(
    zone: str, day: str, start: str, hours: float
) -> None:
    today = date.fromisoformat(day)
    first, end = periods.midnight(zone, today), periods.midnight(zone, today + timedelta(days=1))

    assert first == datetime.fromisoformat(f"{start}+00:00")
    assert (end - first) / timedelta(hours=1) == hours
    days = [
        periods.local_day(Schedule(1, zone), moment) for moment in (first - MICROSECOND, first, end - MICROSECOND, end)
    ]
    assert days == [today - timedelta(days=1), today, today, today + timedelta(days=1)]


OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
CLOSED_AT = datetime(2026, 11, 4, tzinfo=UTC)  # the end of October plus 72 hours
LAST_OF_OCTOBER = datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("received", "billed_from", "placement"),
    [
        (LAST_OF_OCTOBER, NEVER_BILLED, PeriodPlacement(OCTOBER, date(2026, 10, 31), None)),
        (CLOSED_AT - MICROSECOND, NEVER_BILLED, PeriodPlacement(OCTOBER, date(2026, 10, 31), None)),
        (CLOSED_AT, NEVER_BILLED, PeriodPlacement(NOVEMBER, date(2026, 11, 4), OCTOBER)),
        (CLOSED_AT + MICROSECOND, date(2026, 10, 31), PeriodPlacement(NOVEMBER, date(2026, 11, 4), OCTOBER)),
        (CLOSED_AT + MICROSECOND, date(2026, 11, 1), PeriodPlacement(OCTOBER, date(2026, 10, 31), None)),
        (CLOSED_AT + timedelta(days=400), NOVEMBER, PeriodPlacement(OCTOBER, date(2026, 10, 31), None)),
    ],
    ids=["at once", "last moment of grace", "closed", "billed already", "before it was billed", "history"],
)
def test_the_period_of_an_event_is_decided_at_receipt(
    received: datetime, billed_from: date, placement: PeriodPlacement
) -> None:
    assert periods.place_event(Schedule(), LAST_OF_OCTOBER, received, billed_from=billed_from, grace=GRACE) == placement


@settings(deadline=None)  # a slow machine is not a failure
@given(schedules, moments, st.timedeltas(timedelta(minutes=-5), timedelta(days=35)))
def test_an_event_counts_in_its_own_period_or_late_in_the_open_one(
    schedule: Schedule, at: datetime, lag: timedelta
) -> None:
    received = at + lag
    placement = periods.place_event(schedule, at, received, billed_from=NEVER_BILLED, grace=GRACE)
    own_period = periods.period_start(schedule, periods.local_day(schedule, at))
    late = received >= bounds(schedule, own_period)[1] + GRACE

    assert placement.late_for == (own_period if late else None)
    assert placement.day == periods.local_day(schedule, received if late else at)
    assert placement.period == periods.period_start(schedule, placement.day)
