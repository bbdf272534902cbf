"""R11: over any sequence of changes of anchor day and zone, the past stays, and every instant has one day and one period."""

from __future__ import annotations

import os
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from lib import periods
from lib.periods import Schedule

SEQUENCES = 100 * int(os.environ.get("PROOF_EXAMPLES", "20"))
MICROSECOND = timedelta(microseconds=1)
START = datetime(2025, 12, 20, tzinfo=UTC)
# Both ends of the world, half-hour offsets, skipped midnights, and a zone that skipped a whole day (Apia, 2011).
ZONES = [
    "UTC",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Asia/Tokyo",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Pacific/Apia",
]
ANCHORS = [1, 2, 15, 20, 28, 29, 30, 31]
GAPS = [
    timedelta(0),
    timedelta(minutes=1),
    timedelta(hours=7),
    timedelta(days=1),
    timedelta(days=9),
    timedelta(days=40),
]


def placement(schedule: Schedule, at: datetime) -> tuple[date, date]:
    day = periods.local_day(schedule, at)
    return day, periods.period_start(schedule, day)


def some_instants(rng: random.Random, schedule: Schedule, at: datetime) -> list[datetime]:
    """Instants before and after `at`, and the borders of days and of the running period around it."""
    day, start = placement(schedule, at)
    borders = [
        periods.first_instant(schedule, border)
        for border in (day, day + periods.DAY, start, periods.next_period_start(schedule, start))
    ]
    near = [at + rng.uniform(-1, 1) * timedelta(days=2) for _ in range(2)]
    far = [at + rng.uniform(-1, 1) * timedelta(days=60) for _ in range(2)]
    return [moment + step for moment in (*borders, at) for step in (-MICROSECOND, timedelta(0))] + near + far


def check_instant(schedule: Schedule, at: datetime) -> None:
    """One day, one period, and the day of the instant is in the period of the instant."""
    day, start = placement(schedule, at)
    following = periods.next_period_start(schedule, start)
    assert start <= day < following
    assert periods.first_instant(schedule, day) <= at < periods.first_instant(schedule, day + periods.DAY)
    assert periods.first_instant(schedule, start) <= at < periods.first_instant(schedule, following)


def check_periods(schedule: Schedule, near: date) -> None:
    """Around the day `near`: contiguous, half-open, each name once, the same in both directions."""
    starts = [periods.period_start(schedule, near - timedelta(days=100))]
    while starts[-1] < near + timedelta(days=130):
        starts.append(periods.next_period_start(schedule, starts[-1]))
    names = [(start.year, start.month) for start in starts]
    assert names == sorted(set(names))
    for start, following in pairwise(starts):
        assert periods.previous_period_start(schedule, following) == start
        assert periods.period_start_in_month(schedule, start.year, start.month) == start
        assert periods.period_start(schedule, start) == start
        assert periods.period_start(schedule, following - periods.DAY) == start
        assert 1 <= periods.regular_cycle_days(schedule, start, 1) <= 31


def run_sequence(rng: random.Random) -> None:
    schedule, at = Schedule(rng.choice(ANCHORS), rng.choice(ZONES)), START
    for _ in range(rng.randint(1, 5)):
        at += rng.choice(GAPS) * rng.random() + rng.choice(GAPS)
        if rng.random() < 0.3:  # at the border of a day of either zone, where the mistakes are
            at = max(at, periods.midnight(rng.choice(ZONES), at.date()))
        instants = some_instants(rng, schedule, at)
        before = {moment: placement(schedule, moment) for moment in instants if moment < at}
        cycle_days = {start: periods.regular_cycle_days(schedule, start, 12) for _, start in before.values()}
        schedule = periods.change_schedule(schedule, rng.choice(ANCHORS), rng.choice(ZONES), at)
        assert {moment: placement(schedule, moment) for moment in before} == before
        assert {start: periods.regular_cycle_days(schedule, start, 12) for start in cycle_days} == cycle_days
        for moment in instants + some_instants(rng, schedule, at):
            check_instant(schedule, moment)
        check_periods(schedule, at.date())


@pytest.mark.parametrize("part", range(10))
def test_no_sequence_of_changes_moves_the_past_or_puts_a_day_outside_its_period(part: int) -> None:
    for number in range(part, SEQUENCES, 10):
        try:
            run_sequence(random.Random(number))
        except AssertionError as error:
            raise AssertionError(f"sequence {number}") from error
