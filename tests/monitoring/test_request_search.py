"""The newest errors and the slowest requests: located by minute rows, and limited in number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from monitoring import request_log as requests
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)


def test_errors_of_the_last_day_are_newest_first_and_exclude_polls(request_log: Recorder) -> None:
    for minutes, status, poll in (
        (1, 404, False),
        (2, 200, False),
        (3, 503, True),
        (90, 500, False),
        (1500, 501, False),
    ):
        request_log.add(entry(at=AT - timedelta(minutes=minutes), status=status, poll=poll, method="GET"))
    request_log.flush()
    assert [row.status for row in requests.recent_errors(AT)] == [404, 500]


def test_only_as_many_errors_are_read_as_are_shown(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(requests, "MAX_ERRORS", 3)
    for minutes in range(10):
        request_log.add(entry(at=AT - timedelta(minutes=minutes), status=500 + minutes))
    request_log.flush()
    with django_assert_num_queries(2):
        assert [row.status for row in requests.recent_errors(AT)] == [500, 501, 502]


def test_without_errors_the_log_is_not_read(
    request_log: Recorder, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.HEALTH_ERROR_FROM = 500
    request_log.add(entry(at=AT, status=404))
    request_log.flush()
    with django_assert_num_queries(1):
        assert requests.recent_errors(AT) == []


def test_the_slowest_of_the_newest_requests_come_first(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes, duration_us in ((0, 5_000), (0, 9_000), (1, 7_000), (2, 90_000), (3, 80_000)):
        request_log.add(entry(at=AT - timedelta(minutes=minutes), duration_us=duration_us))
    request_log.add(entry(at=AT, duration_us=10**7, poll=True, method="GET"))
    request_log.flush()
    slowest = requests.slowest_requests(AT)
    assert (slowest.since, slowest.examined) == (AT.replace(second=0) - timedelta(minutes=3), 5)
    assert [row.duration_us for row in slowest.requests] == [90_000, 80_000, 9_000, 7_000, 5_000]

    monkeypatch.setattr(requests, "MIN_EXAMINED", 3)
    monkeypatch.setattr(requests, "MAX_SLOWEST", 2)
    slowest = requests.slowest_requests(AT)
    assert (slowest.since, slowest.examined) == (AT.replace(second=0) - timedelta(minutes=1), 3)
    assert [row.duration_us for row in slowest.requests] == [9_000, 7_000]


def test_a_day_without_requests_has_no_slowest_request(request_log: Recorder) -> None:
    request_log.add(entry(at=AT - timedelta(days=1, minutes=1)))
    request_log.flush()
    assert requests.slowest_requests(AT) == requests.SlowestRequests(None, 0, [])
