"""R11, changes of anchor and zone: periods stay contiguous and singly named, and what is past keeps its borders."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import periods
from lib.periods import Place, Schedule
from tests.lib.test_periods import GRACE, NEVER, US, ZONES, moments, schedules

FIRST, LAST = date(2019, 6, 1), date(2030, 6, 1)
changes = st.lists(st.tuples(moments, st.integers(1, 31), st.sampled_from(ZONES)), min_size=1, max_size=6)
some_days = st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive here
quick_changes = st.lists(
    st.tuples(some_days, st.sampled_from([1, 15]), st.sampled_from(["UTC", "Asia/Tokyo"])), min_size=2, max_size=6
)


def after(schedule: Schedule, wishes: list[tuple[datetime, int, str]]) -> Schedule:
    for at, anchor_day, zone in sorted(wishes):
        schedule = periods.changed(schedule, anchor_day, zone, at)
    return schedule


def starts(schedule: Schedule) -> list[date]:
    """Of all periods of the ten years, and a few more."""
    found = [periods.start_of(schedule, FIRST)]
    while found[-1] < LAST:
        found.append(periods.next_start(schedule, found[-1]))
    return found


@given(schedules, changes)
def test_periods_of_a_changing_schedule_follow_one_another(
    first: Schedule, wishes: list[tuple[datetime, int, str]]
) -> None:
    schedule = after(first, wishes)
    found = starts(schedule)
    names = [(start.year, start.month) for start in found]

    assert len(set(names)) == len(names)
    assert sorted(names) == names
    for start, following in pairwise(found):
        assert periods.previous_start(schedule, following) == start
        assert periods.named(schedule, start.year, start.month) == start
        begin, end = periods.starts_at(schedule, start), periods.starts_at(schedule, following)
        assert begin <= end
        assert following - start <= timedelta(days=93)
        for moment in {begin, (begin + (end - begin) / 2), end - US} if begin < end else ():
            day = periods.local_day(schedule, moment)
            assert start <= day < following
            assert periods.start_of(schedule, day) == start
            assert periods.starts_at(schedule, day) <= moment < periods.starts_at(schedule, day + timedelta(days=1))


@given(schedules, changes, moments)
def test_every_moment_has_one_day_and_one_period(
    first: Schedule, wishes: list[tuple[datetime, int, str]], at: datetime
) -> None:
    schedule = after(first, wishes)
    day = periods.local_day(schedule, at)
    start = periods.start_of(schedule, day)

    assert start <= day < periods.next_start(schedule, start)
    assert periods.starts_at(schedule, day) <= at < periods.starts_at(schedule, day + timedelta(days=1))
    assert periods.local_day(schedule, at - US) <= day


@given(schedules, changes | quick_changes)
def test_a_change_moves_no_border_that_is_past_and_keeps_the_new_anchor(
    first: Schedule, wishes: list[tuple[datetime, int, str]]
) -> None:
    *earlier, (at, anchor_day, zone) = sorted(wishes)
    before = after(first, earlier)
    schedule = periods.changed(before, anchor_day, zone, at)
    running = periods.start_of(before, periods.local_day(before, at))

    past = [start for start in starts(before) if start <= running]
    assert [start for start in starts(schedule) if start <= running] == past
    assert [periods.starts_at(schedule, start) for start in past] == [
        periods.starts_at(before, start) for start in past
    ]
    assert periods.start_of(schedule, periods.local_day(schedule, at - US)) == periods.start_of(
        before, periods.local_day(before, at - US)
    )
    until = periods.next_start(schedule, running)
    assert (until.year, until.month) > (running.year, running.month)
    assert periods.starts_at(schedule, until) >= at
    for start in (one for one in starts(schedule) if one > running):
        assert start == periods.named(Schedule(anchor_day, zone), start.year, start.month)
        assert periods.starts_at(schedule, start) == periods.midnight(zone, start)


@given(schedules, changes, moments, st.timedeltas(timedelta(minutes=-5), timedelta(days=35)))
def test_an_event_is_placed_by_the_schedule_of_its_time(
    first: Schedule, wishes: list[tuple[datetime, int, str]], at: datetime, lag: timedelta
) -> None:
    schedule, received = after(first, wishes), at + lag
    place = periods.place(schedule, at, received, billed_from=NEVER, grace=GRACE)
    own = periods.start_of(schedule, periods.local_day(schedule, at))
    late = received >= periods.starts_at(schedule, periods.next_start(schedule, own)) + GRACE

    day = periods.local_day(schedule, received if late else at)
    assert place == Place(periods.start_of(schedule, day), day, own if late else None)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wish", "asked", "around"),
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
def test_the_running_period_ends_at_the_first_boundary_in_a_later_month_that_is_not_past(
    wish: tuple[int, str], asked: str, around: list[str]
) -> None:
    schedule = periods.changed(Schedule(20), *wish, at(asked))

    found = [str(start) for start in starts(schedule)]
    assert found[found.index("2025-12-20") :][:4] == around


def test_a_month_in_which_no_period_starts_has_none_of_its_name() -> None:
    schedule = periods.changed(Schedule(20), 5, "UTC", at("2026-02-10"))

    assert [periods.named(schedule, 2026, month) for month in (1, 2, 3)] == [date(2026, 1, 20), None, date(2026, 3, 5)]


def test_the_last_day_of_the_old_zone_ends_at_the_first_midnight_of_the_new_one() -> None:
    """Kiritimati is 14 hours ahead of UTC and Niue 11 behind: the last day is 49 hours long, or does not come at all."""
    west = periods.changed(Schedule(1, "Pacific/Kiritimati"), 1, "Pacific/Niue", at("2026-01-10"))
    east = periods.changed(Schedule(1, "Pacific/Niue"), 1, "Pacific/Kiritimati", at("2026-01-10"))

    assert [str(periods.starts_at(west, date(2026, 1, 31))), str(periods.starts_at(west, date(2026, 2, 1)))] == [
        "2026-01-30 10:00:00+00:00",
        "2026-02-01 11:00:00+00:00",
    ]
    assert periods.local_day(west, at("2026-02-01T10:59")) == date(2026, 1, 31)
    assert periods.local_day(west, at("2026-02-01T11:00")) == date(2026, 2, 1)
    assert periods.starts_at(east, date(2026, 1, 31)) == periods.starts_at(east, date(2026, 2, 1))
    assert periods.local_day(east, at("2026-01-31T09:59")) == date(2026, 1, 30)
    assert periods.local_day(east, at("2026-01-31T10:00")) == date(2026, 2, 1)


def test_a_change_that_has_not_come_into_force_is_given_up_for_the_next_wish() -> None:
    once = periods.changed(Schedule(20), 5, "UTC", at("2026-02-10"))

    assert periods.changed(once, 20, "UTC", at("2026-02-15")) == Schedule(20)
    assert periods.changed(once, 1, "UTC", at("2026-02-15")) == periods.changed(
        Schedule(20), 1, "UTC", at("2026-02-15")
    )
    back = periods.changed(once, 20, "UTC", at("2026-02-25"))  # 20 February is past, and was no boundary when it came
    assert [str(start) for start in starts(back) if start.year == 2026][:2] == ["2026-01-20", "2026-03-20"]
    later = periods.changed(once, 1, "UTC", at("2026-03-15"))
    assert [str(start) for start in starts(later) if start.year == 2026][:4] == [
        "2026-01-20",
        "2026-03-05",
        "2026-04-01",
        "2026-05-01",
    ]
