"""The history: every hour and day has its own figures, and one without requests is unknown, not healthy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from monitoring import history, traffic
from monitoring.history import TrafficInterval
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)
NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def log_requests(log: Recorder, at: datetime, requests: int, errors: int = 0) -> None:
    for number in range(requests):
        log.add(entry(at=at, status=500 if number < errors else 200))
    log.flush()


def test_the_last_24_hours_and_the_current_one(request_log: Recorder) -> None:
    for at in (
        NINE - timedelta(hours=24, microseconds=1),
        NINE - timedelta(hours=24),
        NINE - timedelta(microseconds=1),
    ):
        log_requests(request_log, at, 10)
    log_requests(request_log, AT, 20, errors=3)
    log_requests(request_log, NINE + timedelta(hours=1), 10)
    intervals = history.last_24_hours(AT)
    assert [interval.start for interval in intervals] == [NINE - timedelta(hours=hours) for hours in range(24, -1, -1)]
    assert intervals[-1].end == NINE + timedelta(hours=1)
    assert [interval.traffic.requests for interval in intervals] == [10, *[0] * 22, 10, 20]
    assert [interval.traffic.status for interval in intervals] == ["healthy", *["unknown"] * 22, "healthy", "critical"]
    assert (intervals[-1].traffic.error_rate, intervals[1].traffic.error_rate) == (15.0, None)


def test_the_last_30_days_and_today(request_log: Recorder) -> None:
    midnight = NINE.replace(hour=0)
    for days in (31, 30, 1):
        log_requests(request_log, midnight - timedelta(days=days) + timedelta(hours=23, minutes=59), 5)
    log_requests(request_log, midnight, 7)
    log_requests(request_log, AT, 1, errors=1)
    intervals = history.last_30_days(AT)
    assert (len(intervals), intervals[0].start, intervals[-1].start) == (31, midnight - timedelta(days=30), midnight)
    assert [interval.traffic.requests for interval in intervals] == [5, *[0] * 28, 5, 8]
    assert (intervals[-1].traffic.errors, intervals[-1].traffic.status) == (1, "critical")


@pytest.mark.parametrize("load_intervals", [history.last_24_hours, history.last_30_days])
def test_a_history_takes_one_query(
    request_log: Recorder,
    django_assert_num_queries: DjangoAssertNumQueries,
    load_intervals: Callable[[datetime], list[TrafficInterval]],
) -> None:
    log_requests(request_log, AT, 2)
    with django_assert_num_queries(1):
        load_intervals(AT)


def test_routes_from_hours_equal_those_from_minutes(request_log: Recorder) -> None:
    for number in range(3):
        log_requests(request_log, AT - timedelta(hours=number), 4, errors=number)
    assert traffic.route_traffic_from_hours(NINE - timedelta(hours=24), AT) == traffic.route_traffic(
        NINE - timedelta(hours=24), AT
    )
