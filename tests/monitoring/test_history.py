"""The history: every hour and day is there, each with its own figures, and a time without requests is not healthy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from monitoring import charts, history, traffic
from monitoring.history import Step
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)
NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def answer(log: Recorder, at: datetime, requests: int, errors: int = 0) -> None:
    for number in range(requests):
        log.add(entry(at=at, status=500 if number < errors else 200))
    log.flush()


def test_the_last_24_hours_and_the_running_one(request_log: Recorder) -> None:
    for at in (
        NINE - timedelta(hours=24, microseconds=1),
        NINE - timedelta(hours=24),
        NINE - timedelta(microseconds=1),
    ):
        answer(request_log, at, 10)
    answer(request_log, AT, 20, errors=3)
    answer(request_log, NINE + timedelta(hours=1), 10)
    steps = history.hours(AT)
    assert [step.start for step in steps] == [NINE - timedelta(hours=back) for back in range(24, -1, -1)]
    assert steps[-1].end == NINE + timedelta(hours=1)
    assert [step.traffic.requests for step in steps] == [10, *[0] * 22, 10, 20]
    assert [step.traffic.status for step in steps] == ["healthy", *["unknown"] * 22, "healthy", "critical"]
    assert (steps[-1].traffic.error_rate, steps[1].traffic.error_rate) == (15.0, None)


def test_the_last_30_days_and_today(request_log: Recorder) -> None:
    midnight = NINE.replace(hour=0)
    for days in (31, 30, 1):
        answer(request_log, midnight - timedelta(days=days) + timedelta(hours=23, minutes=59), 5)
    answer(request_log, midnight, 7)
    answer(request_log, AT, 1, errors=1)
    steps = history.days(AT)
    assert (len(steps), steps[0].start, steps[-1].start) == (31, midnight - timedelta(days=30), midnight)
    assert [step.traffic.requests for step in steps] == [5, *[0] * 28, 5, 8]
    assert (steps[-1].traffic.errors, steps[-1].traffic.status) == (1, "critical")


@pytest.mark.parametrize("steps", [history.hours, history.days])
def test_it_takes_one_query(
    request_log: Recorder, django_assert_num_queries: DjangoAssertNumQueries, steps: Callable[[datetime], list[Step]]
) -> None:
    answer(request_log, AT, 2)
    with django_assert_num_queries(1):
        steps(AT)


def test_routes_of_a_long_span_equal_those_of_its_minutes(request_log: Recorder) -> None:
    for number in range(3):
        answer(request_log, AT - timedelta(hours=number), 4, errors=number)
    assert traffic.routes_by_hours(NINE - timedelta(hours=24), AT) == traffic.routes(NINE - timedelta(hours=24), AT)


def test_a_chart_has_a_bar_for_each_value_and_none_where_nothing_is_known(request_log: Recorder) -> None:
    answer(request_log, AT, 20, errors=3)
    answer(request_log, AT - timedelta(hours=1), 20, errors=2)
    answer(request_log, AT - timedelta(hours=2), 20)
    drawn = charts.of("Error rate", "%", history.hours(AT), lambda step: step.traffic.error_rate, toned=True)
    assert (drawn.title, drawn.unit, drawn.most, drawn.width) == ("Error rate", "%", 15.0, 250)
    assert drawn.bars == (
        charts.Bar(231, 20.0, 40.0, "warning", "Nov 22 08:00: 10 %"),
        charts.Bar(241, 0.0, 60.0, "critical", "Nov 22 09:00: 15 %"),
    )


def test_a_small_value_is_still_seen(request_log: Recorder) -> None:
    answer(request_log, AT, 200)
    answer(request_log, AT - timedelta(hours=1), 1)
    drawn = charts.of("Requests", "per hour", history.hours(AT), lambda step: step.traffic.requests)
    assert [(bar.height, bar.tone) for bar in drawn.bars] == [(1.5, ""), (60.0, "")]
