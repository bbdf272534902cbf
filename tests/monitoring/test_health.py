"""System health: the window, the figures, the thresholds, and the unknown states."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from pytest_django import DjangoAssertNumQueries, Settings

from monitoring import health, histogram, request_rows, traffic
from monitoring.recorder import Recorder
from monitoring.traffic import RouteTraffic, Traffic
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, 45, 500_000, tzinfo=UTC)
UNMEASURED = health.SystemHealth("unknown", "not_measured", None, None, None, 345, None, None, None, None, AT)

LATENCY = tuple(23 if column == "ms_5" else 0 for column in histogram.COLUMNS)
USAGE_ROUTE = RouteTraffic("/api/v1/usage/", Traffic(23, 1, 0, 1, 0, 23 * 3_000, LATENCY), 100.0)


def record(log: Recorder, requests: int, errors: int, at: datetime = AT) -> None:
    for number in range(requests):
        log.add(entry(at=at, status=500 if number < errors else 200))
    log.flush()


def test_the_figures_cover_five_full_minutes_and_the_current_one(request_log: Recorder) -> None:
    record(request_log, 20, 1, AT - timedelta(minutes=3))
    record(request_log, 3, 0, AT)
    assert health.measure(AT) == health.SystemHealth(
        status="healthy",
        reason=None,
        recent_requests=23,
        recent_errors=1,
        error_rate=4.35,
        window_seconds=345,
        requests_per_minute=4.0,
        p50_ms=3.5,
        p95_ms=4.9,
        p99_ms=5.0,
        as_of=AT,
        client_errors=0,
        server_errors=1,
        dropped_requests=0,
        busiest_routes=(USAGE_ROUTE,),
        worst_routes=(USAGE_ROUTE,),
    )


@pytest.mark.parametrize(
    ("at", "count"),
    [
        (datetime(2026, 11, 22, 9, 24, 59, 999_999, tzinfo=UTC), None),
        (datetime(2026, 11, 22, 9, 25, tzinfo=UTC), 1),
        (datetime(2026, 11, 22, 9, 30, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 22, 9, 31, tzinfo=UTC), None),
    ],
)
def test_the_window_starts_five_minutes_before_the_current_one(
    request_log: Recorder, at: datetime, count: int | None
) -> None:
    record(request_log, 1, 0, at)
    assert health.measure(AT).recent_requests == (count or 0)


@pytest.mark.parametrize(
    ("requests", "errors", "status", "rate"),
    [
        (1, 0, "healthy", 0.0),
        (100, 5, "healthy", 5.0),
        (1000, 51, "warning", 5.1),
        (100, 10, "warning", 10.0),
        (1000, 101, "critical", 10.1),
        (1, 1, "critical", 100.0),
        (3, 1, "critical", 33.33),
    ],
)
def test_the_status_follows_the_thresholds(
    request_log: Recorder, requests: int, errors: int, status: str, rate: float
) -> None:
    record(request_log, requests, errors)
    measured = health.measure(AT)
    assert (measured.status, measured.reason, measured.error_rate) == (status, None, rate)


def test_the_thresholds_and_the_window_are_settings(request_log: Recorder, settings: Settings) -> None:
    record(request_log, 100, 2)
    record(request_log, 100, 100, AT - timedelta(minutes=2))
    settings.HEALTH_WARNING_PERCENT, settings.HEALTH_CRITICAL_PERCENT, settings.HEALTH_WINDOW_MINUTES = 1, 3, 1
    measured = health.measure(AT)
    assert (measured.status, measured.error_rate, measured.window_seconds) == ("warning", 2.0, 105)


def test_at_the_start_of_a_minute_the_current_one_is_empty(request_log: Recorder) -> None:
    record(request_log, 10, 0, AT - timedelta(minutes=1))
    measured = health.measure(AT.replace(second=0, microsecond=0))
    assert (measured.window_seconds, measured.requests_per_minute) == (300, 2.0)


def test_without_requests_health_is_unknown(request_log: Recorder) -> None:
    assert health.measure(AT) == health.SystemHealth(
        "unknown", "no_requests", 0, 0, None, 345, 0.0, None, None, None, AT, 0, 0, 0
    )


def test_without_the_request_log_health_is_not_measured(request_log: Recorder, settings: Settings) -> None:
    settings.REQUEST_LOG = False
    assert health.measure(AT) == UNMEASURED


def test_a_failed_measurement_is_unknown_and_has_no_counts(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError

    record(request_log, 5, 0)
    monkeypatch.setattr(traffic, "route_traffic", fail)
    assert health.measure(AT) == UNMEASURED
    assert [record.message for record in caplog.records] == ["System health could not be measured"]


def test_4xx_and_5xx_are_counted_whatever_counts_as_an_error(request_log: Recorder, settings: Settings) -> None:
    settings.HEALTH_ERROR_FROM = 500
    for status in (200, 302, 404, 404, 429, 503):
        request_log.add(entry(at=AT, status=status))
    request_log.flush()
    measured = health.measure(AT)
    assert (measured.recent_errors, measured.client_errors, measured.server_errors) == (1, 3, 1)


def test_the_three_busiest_and_the_three_worst_routes_are_reported(request_log: Recorder) -> None:
    for number, (requests, errors) in enumerate(((9, 0), (8, 1), (7, 7), (6, 2), (5, 0), (1, 1))):
        for index in range(requests):
            request_log.add(entry(at=AT, route=f"/{number}/", status=500 if index < errors else 200))
    request_log.flush()
    measured = health.measure(AT)
    busiest = [(route.name, route.traffic.requests, route.share) for route in measured.busiest_routes]
    assert busiest == [("/0/", 9, 25.0), ("/1/", 8, 22.22), ("/2/", 7, 19.44)]
    assert [(route.name, route.traffic.errors) for route in measured.worst_routes] == [
        ("/2/", 7),
        ("/3/", 2),
        ("/1/", 1),
    ]


def test_dropped_requests_are_reported_and_count_in_no_other_figure(request_log: Recorder) -> None:
    record(request_log, 5, 0)
    request_rows.store_drops(40, AT)
    request_rows.store_drops(2, AT - timedelta(minutes=5))
    request_rows.store_drops(1, AT - timedelta(minutes=6))
    measured = health.measure(AT)
    assert (measured.dropped_requests, measured.recent_requests, measured.status) == (42, 5, "healthy")
    assert [route.name for route in measured.busiest_routes] == ["/api/v1/usage/"]


def test_drops_alone_do_not_count_as_requests(request_log: Recorder) -> None:
    request_rows.store_drops(40, AT)
    measured = health.measure(AT)
    assert (measured.status, measured.reason, measured.dropped_requests) == ("unknown", "no_requests", 40)


def test_measuring_takes_one_query(request_log: Recorder, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    record(request_log, 5, 0)
    with django_assert_num_queries(1):
        health.measure(AT)


def test_a_measurement_is_cached_for_two_seconds(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    health.measure_cached.cache_clear()
    monkeypatch.setattr("monitoring.health.time.monotonic", lambda: 1000.0)
    with django_assert_num_queries(1):
        assert len({id(health.latest()) for _ in range(10)}) == 1
    monkeypatch.setattr("monitoring.health.time.monotonic", lambda: 1002.0)
    with django_assert_num_queries(1):
        health.latest()
    health.measure_cached.cache_clear()
