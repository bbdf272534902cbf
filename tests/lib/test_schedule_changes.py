"""R11, changes of anchor day and zone: periods stay contiguous with unique names, and past boundaries do not move."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import periods
from lib.periods import PeriodPlacement, Schedule
from tests.lib.test_periods import GRACE, MICROSECOND, NEVER_BILLED, ZONES, moments, schedules

FIRST_DAY, LAST_DAY = date(2019, 6, 1), date(2030, 6, 1)
changes = st.lists(st.tuples(moments, st.integers(1, 31), st.sampled_from(ZONES)), min_size=1, max_size=6)
some_days = st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive here
quick_changes = st.lists(
    st.tuples(some_days, st.sampled_from([1, 15]), st.sampled_from(["UTC", "Asia/Tokyo"])), min_size=2, max_size=6
)


def apply_changes(schedule: Schedule, requests: list[tuple[datetime, int, str]]) -> Schedule:
    for at, anchor_day, zone in sorted(requests):
        schedule = periods.change_schedule(schedule, anchor_day, zone, at)
    return schedule


def period_starts(schedule: Schedule) -> list[date]:
    """The start of every period from FIRST_DAY to LAST_DAY, and of the next one."""
    result = [periods.period_start(schedule, FIRST_DAY)]
    while result[-1] < LAST_DAY:
        result.append(periods.next_period_start(schedule, result[-1]))
    return result


@given(schedules, changes)
def test_periods_of_a_changed_schedule_are_contiguous(
    first: Schedule, requests: list[tuple[datetime, int, str]]
) -> None:
    schedule = apply_changes(first, requests)
    starts = period_starts(schedule)
    names = [(start.year, start.month) for start in starts]

    assert len(set(names)) == len(names)
    assert sorted(names) == names
    for start, following in pairwise(starts):
        assert periods.previous_period_start(schedule, following) == start
        assert periods.period_start_in_month(schedule, start.year, start.month) == start
        begin, end = periods.first_instant(schedule, start), periods.first_instant(schedule, following)
        assert begin <= end
        assert following - start <= timedelta(days=93)
        for moment in {begin, (begin + (end - begin) / 2), end - MICROSECOND} if begin < end else ():
            day = periods.local_day(schedule, moment)
            assert start <= day < following
            assert periods.period_start(schedule, day) == start
            assert (
                periods.first_instant(schedule, day)
                <= moment
                < periods.first_instant(schedule, day + timedelta(days=1))
            )


@given(schedules, changes, moments)
def test_every_moment_has_one_day_and_one_period(
    first: Schedule, requests: list[tuple[datetime, int, str]], at: datetime
) -> None:
    schedule = apply_changes(first, requests)
    day = periods.local_day(schedule, at)
    start = periods.period_start(schedule, day)

    assert start <= day < periods.next_period_start(schedule, start)
    assert periods.first_instant(schedule, day) <= at < periods.first_instant(schedule, day + timedelta(days=1))
    assert periods.local_day(schedule, at - MICROSECOND) <= day


@given(schedules, changes | quick_changes)
def test_a_change_moves_no_past_boundary_and_keeps_the_new_anchor(
    first: Schedule, requests: list[tuple[datetime, int, str]]
) -> None:
    *earlier, (at, anchor_day, zone) = sorted(requests)
    before = apply_changes(first, earlier)
    schedule = periods.change_schedule(before, anchor_day, zone, at)
    current = periods.period_start(before, periods.local_day(before, at))

    past = [start for start in period_starts(before) if start <= current]
    assert [start for start in period_starts(schedule) if start <= current] == past
    assert [periods.first_instant(schedule, start) for start in past] == [
        periods.first_instant(before, start) for start in past
    ]
    assert periods.period_start(schedule, periods.local_day(schedule, at - MICROSECOND)) == periods.period_start(
        before, periods.local_day(before, at - MICROSECOND)
    )
    until = periods.next_period_start(schedule, current)
    assert (until.year, until.month) > (current.year, current.month)
    assert periods.first_instant(schedule, until) >= at
    for start in (day for day in period_starts(schedule) if day > current):
        assert start == periods.period_start_in_month(Schedule(anchor_day, zone), start.year, start.month)
        assert periods.first_instant(schedule, start) == periods.midnight(zone, start)


@given(schedules, changes, moments, st.timedeltas(timedelta(minutes=-5), timedelta(days=35)))
def test_an_event_is_placed_by_the_schedule_in_force_at_its_time(
    first: Schedule, requests: list[tuple[datetime, int, str]], at: datetime, lag: timedelta
) -> None:
    schedule, received = apply_changes(first, requests), at + lag
    placement = periods.place_event(schedule, at, received, billed_from=NEVER_BILLED, grace=GRACE)
    own_period = periods.period_start(schedule, periods.local_day(schedule, at))
    late = received >= periods.first_instant(schedule, periods.next_period_start(schedule, own_period)) + GRACE

    day = periods.local_day(schedule, received if late else at)
    assert placement == PeriodPlacement(periods.period_start(schedule, day), day, own_period if late else None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "requested_at", "expected"),
    [
        ((1, "UTC"), "2026-01-25", ["2025-12-20", "2026-01-20", "2026-02-01", "2026-03-01"]),
        ((5, "UTC"), "2026-02-10", ["2025-12-20", "2026-01-20", "2026-03-05", "2026-04-05"]),  # none in February
        ((31, "UTC"), "2026-01-25", ["2025-12-20", "2026-01-20", "2026-02-28", "2026-03-31"]),  # never twice in January
        ((20, "UTC"), "2026-01-25", ["2025-12-20", "2026-01-20", "2026-02-20", "2026-03-20"]),  # nothing changes
        ((1, "UTC"), "2026-02-01", ["2025-12-20", "2026-01-20", "2026-02-01", "2026-03-01"]),  # at this very moment
        ((1, "UTC"), "2026-02-01T00:00:00.000001", ["2025-12-20", "2026-01-20", "2026-03-01", "2026-04-01"]),
        ((20, "Asia/Tokyo"), "2026-01-25", ["2025-12-20", "2026-01-20", "2026-02-20", "2026-03-20"]),
    ],
)
def test_the_current_period_ends_at_the_first_boundary_in_a_later_month_that_is_not_past(
    change: tuple[int, str], requested_at: str, expected: list[str]
) -> None:
    schedule = periods.change_schedule(Schedule(20), *change, utc(requested_at))

    starts = [str(start) for start in period_starts(schedule)]
    assert starts[starts.index("2025-12-20") :][:4] == expected


def test_a_month_in_which_no_period_starts_names_no_period() -> None:
    schedule = periods.change_schedule(Schedule(20), 5, "UTC", utc("2026-02-10"))

    assert [periods.period_start_in_month(schedule, 2026, month) for month in (1, 2, 3)] == [
        date(2026, 1, 20),
        None,
        date(2026, 3, 5),
    ]


def test_the_last_day_of_the_old_zone_ends_at_the_first_midnight_of_the_new_one() -> None:
    """Kiritimati is 14 hours ahead of UTC and Niue 11 behind: the last day lasts 49 hours, or does not occur at all."""
    west = periods.change_schedule(Schedule(1, "Pacific/Kiritimati"), 1, "Pacific/Niue", utc("2026-01-10"))
    east = periods.change_schedule(Schedule(1, "Pacific/Niue"), 1, "Pacific/Kiritimati", utc("2026-01-10"))

    assert [
        str(periods.first_instant(west, date(2026, 1, 31))),
        str(periods.first_instant(west, date(2026, 2, 1))),
    ] == [
        "2026-01-30 10:00:00+00:00",
        "2026-02-01 11:00:00+00:00",
    ]
    assert periods.local_day(west, utc("2026-02-01T10:59")) == date(2026, 1, 31)
    assert periods.local_day(west, utc("2026-02-01T11:00")) == date(2026, 2, 1)
    assert periods.first_instant(east, date(2026, 1, 31)) == periods.first_instant(east, date(2026, 2, 1))
    assert periods.local_day(east, utc("2026-01-31T09:59")) == date(2026, 1, 30)
    assert periods.local_day(east, utc("2026-01-31T10:00")) == date(2026, 2, 1)


def test_a_zone_behind_starts_after_every_day_that_the_zone_ahead_has_used() -> None:
    """At noon of 30 November UTC it is 1 December in Kiritimati, and its logs say so; in Niue that day starts later."""
    before = Schedule(20, "Pacific/Kiritimati")
    schedule = periods.change_schedule(before, 1, "Pacific/Niue", utc("2026-11-30T12:00"))

    assert [str(start) for start in period_starts(schedule) if start >= date(2026, 11, 1)][:3] == [
        "2026-11-20",
        "2027-01-01",
        "2027-02-01",
    ]
    assert periods.local_day(schedule, utc("2026-11-30T11:00")) == date(2026, 12, 1)
    on_the_last_free_day = periods.change_schedule(before, 1, "Pacific/Niue", utc("2026-11-30T10:00"))
    assert periods.next_period_start(on_the_last_free_day, date(2026, 11, 20)) == date(2026, 12, 1)


def test_a_pending_change_that_has_ended_days_is_not_undone_for_the_past() -> None:
    """From 10:00 to midnight it was 1 February in Kiritimati, but the pending change to Niue made it 31 January."""
    pending = periods.change_schedule(Schedule(1, "Pacific/Kiritimati"), 1, "Pacific/Niue", utc("2026-01-10"))
    noon = utc("2026-01-31T12:00")
    assert periods.local_day(pending, noon) == date(2026, 1, 31)
    back = periods.change_schedule(pending, 1, "Pacific/Kiritimati", utc("2026-02-01"))

    assert (periods.local_day(back, noon), periods.period_start(back, date(2026, 1, 31))) == (
        date(2026, 1, 31),
        date(2026, 1, 1),
    )
    assert [str(start) for start in period_starts(back) if start >= date(2026, 1, 1)][:2] == [
        "2026-01-01",
        "2026-03-01",
    ]


@pytest.mark.parametrize(
    ("start", "months", "days"),
    [
        ("2025-12-20", 1, 31),
        ("2026-01-20", 1, 31),
        ("2026-03-05", 1, 31),
        ("2026-04-05", 1, 30),
        ("2026-01-20", 12, 365),
    ],
)
def test_the_days_of_a_regular_cycle_follow_the_schedule_of_its_start(start: str, months: int, days: int) -> None:
    schedule = periods.change_schedule(Schedule(20), 5, "UTC", utc("2026-02-10"))

    assert periods.regular_cycle_days(schedule, date.fromisoformat(start), months) == days


def test_a_pending_change_is_replaced_by_the_next_one() -> None:
    changed = periods.change_schedule(Schedule(20), 5, "UTC", utc("2026-02-10"))

    assert periods.change_schedule(changed, 20, "UTC", utc("2026-02-15")) == Schedule(20)
    assert periods.change_schedule(changed, 1, "UTC", utc("2026-02-15")) == periods.change_schedule(
        Schedule(20), 1, "UTC", utc("2026-02-15")
    )
    back = periods.change_schedule(
        changed, 20, "UTC", utc("2026-02-25")
    )  # 20 February is past, and was not a boundary under the changed schedule
    assert [str(start) for start in period_starts(back) if start.year == 2026][:2] == ["2026-01-20", "2026-03-20"]
    later = periods.change_schedule(changed, 1, "UTC", utc("2026-03-15"))
    assert [str(start) for start in period_starts(later) if start.year == 2026][:4] == [
        "2026-01-20",
        "2026-03-05",
        "2026-04-01",
        "2026-05-01",
    ]
