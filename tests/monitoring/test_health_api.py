"""`GET health/system/`: access, and the exact response."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.monitoring.urls"), pytest.mark.frozen_at(AT)]
ROUTE = {"route": "/api/v1/usage/", "requests": 20, "errors": 2, "error_rate": 10.0, "p95_ms": 48.8}


def bearer_header(scope: str) -> dict[str, str]:
    _key, token = access.create_key(name="a key", scopes=[scope], at=AT)
    return {"authorization": f"Bearer {token}"}


def test_the_exact_response(request_log: Recorder, client: Client) -> None:
    for number in range(20):
        request_log.add(entry(at=AT - timedelta(minutes=2), status=404 if number < 2 else 200, duration_us=30_000))
    request_log.flush()
    response = client.get("/api/v1/health/system/", headers=bearer_header("read"))
    assert response.status_code == 200
    assert response.json() == {
        "status": "warning",
        "reason": None,
        "recent_requests": 20,
        "recent_errors": 2,
        "error_rate": 10.0,
        "window_seconds": 345,
        "requests_per_minute": 3.48,
        "p50_ms": 37.5,
        "p95_ms": 48.8,
        "p99_ms": 49.8,
        "as_of": "2026-11-22T09:30:45Z",
        "client_errors": 2,
        "server_errors": 0,
        "dropped_requests": 0,
        "busiest_routes": [ROUTE],
        "worst_routes": [ROUTE],
    }


def test_without_requests_counts_are_0_and_the_rest_is_null(request_log: Recorder, client: Client) -> None:
    response = client.get("/api/v1/health/system/", headers=bearer_header("read"))
    assert response.json() == {
        "status": "unknown",
        "reason": "no_requests",
        "recent_requests": 0,
        "recent_errors": 0,
        "error_rate": None,
        "window_seconds": 345,
        "requests_per_minute": 0.0,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "as_of": "2026-11-22T09:30:45Z",
        "client_errors": 0,
        "server_errors": 0,
        "dropped_requests": 0,
        "busiest_routes": [],
        "worst_routes": [],
    }


def test_health_measures_the_requests_that_the_middleware_logged(request_log: Recorder, client: Client) -> None:
    headers = bearer_header("read")
    for path in ("/plain/", "/plain/", "/plain/", "/nowhere/"):
        client.get(path)
    request_log.flush()
    body = client.get("/api/v1/health/system/", headers=headers).json()
    assert (body["recent_requests"], body["recent_errors"], body["error_rate"]) == (4, 1, 25.0)
    assert body["status"] == "critical"


def test_one_query_measures_health_besides_the_one_for_the_key(
    request_log: Recorder, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = bearer_header("read")
    client.get("/api/v1/health/system/", headers=headers)
    with django_assert_num_queries(2):  # the key, and the minutes
        client.get("/api/v1/health/system/", headers=headers)


def test_an_anonymous_request_is_401(client: Client) -> None:
    assert client.get("/api/v1/health/system/").status_code == 401


def test_the_scope_read_is_required(client: Client) -> None:
    assert client.get("/api/v1/health/system/", headers=bearer_header("ingest")).status_code == 403


def test_a_post_is_405(client: Client) -> None:
    assert client.post("/api/v1/health/system/", headers=bearer_header("read")).status_code == 405
