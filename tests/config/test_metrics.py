"""`/metrics`: access, the exact text, and bounded label sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access
from billing.models import Account, PlatformDay
from config import metrics
from lib import metric_labels
from monitoring import request_rows
from monitoring.models import JobRun
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import record
from tests.conftest import Api
from tests.monitoring.conftest import entry

AT = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(AT)]


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")


def lines(client: Client) -> list[str]:
    response = client.get("/metrics")
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return [line for line in response.content.decode().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer tg_00000000_x", "Basic eDp5"])
def test_a_request_without_a_valid_key_is_401(client: Client, token: str) -> None:
    response = client.get("/metrics", headers={"authorization": token})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="tollgate"')
    assert b"tollgate_" not in response.content


def test_bound_keys_keys_without_read_and_sessions_are_refused(account: Account, operator: Client) -> None:
    for api in (Api("read", account=account), Api("ingest", "limits", "manage")):
        response = api.client.get("/metrics")
        assert response.status_code == 403
        assert b"tollgate_" not in response.content
    assert operator.get("/metrics").status_code == 401


def test_only_reads_are_allowed_and_never_cached(service: Api) -> None:
    assert service.client.post("/metrics").status_code == 405
    assert "no-store" in service.client.get("/metrics")["Cache-Control"]


def test_without_the_extra_the_response_says_so(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "INSTALLED", False)
    response = service.client.get("/metrics")
    assert (response.status_code, response.content) == (
        404,
        b"The extra `metrics` (prometheus-client) is not installed.\n",
    )


def test_an_unavailable_database_is_503(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OperationalError("could not connect to host db.internal")

    monkeypatch.setattr(access, "find_key", fail)
    response = service.client.get("/metrics")
    assert (response.status_code, response.content) == (503, b"The database does not answer.\n")


@pytest.mark.usefixtures("_installed")
def test_the_exact_text() -> None:
    usage = {"usage": {"input_tokens": 3}}
    record({**usage, "cost_usd": "0.000000005"}, {**usage, "status_code": 500}, at=AT)
    record({"event_id": "old"}, at=AT - timedelta(days=1))
    request_rows.store(request_rows.build_batch([entry(AT, status=status) for status in (200, 200, 404)]))
    request_rows.store(request_rows.build_batch([entry(AT - timedelta(minutes=6))]))
    JobRun.objects.create(name="prune", due_at=AT - timedelta(seconds=301), outcome="failed", runs=7, failures=2)
    JobRun.objects.create(name="gone", due_at=AT)

    assert lines(Api("read").client) == [
        'tollgate_usage_day_calls{provider="openai"} 2.0',
        'tollgate_usage_day_errors{provider="openai"} 1.0',
        'tollgate_usage_day_tokens{provider="openai"} 6.0',
        'tollgate_usage_day_cost_nano_usd{provider="openai"} 1.000000005e+09',
        'tollgate_usage_day_unpriced_calls{provider="openai"} 0.0',
        'tollgate_usage_day_estimated_calls{provider="openai"} 0.0',
        'tollgate_usage_day_fallback_calls{provider="openai"} 0.0',
        'tollgate_deliveries{state="waiting"} 0.0',
        'tollgate_deliveries{state="failed"} 0.0',
        'tollgate_http_window_requests{route="/api/v1/usage/"} 3.0',
        'tollgate_http_window_errors{route="/api/v1/usage/"} 1.0',
        'tollgate_http_window_microseconds{route="/api/v1/usage/"} 9000.0',
        'tollgate_http_window_class_requests{status="2xx"} 2.0',
        'tollgate_http_window_class_requests{status="4xx"} 1.0',
        'tollgate_http_window_ms{quantile="0.5"} 3.5',
        'tollgate_http_window_ms{quantile="0.95"} 4.8',
        'tollgate_http_window_ms{quantile="0.99"} 5.0',
        'tollgate_job_late_seconds{job="prune"} 301.0',
        'tollgate_job_well{job="prune"} 0.0',
        'tollgate_job_runs_total{job="prune"} 7.0',
        'tollgate_job_failures_total{job="prune"} 2.0',
        "tollgate_http_window_dropped 0.0",
    ]


@pytest.mark.usefixtures("_installed")
def test_estimated_calls_are_counted() -> None:
    call = {"model": "gpt-4o", "cost_usd": None, "usage": {"input_tokens": 3}}
    record_with_state({**call, "event_id": "x"}, {**call, "event_id": "y"}, state="incomplete", at=AT)
    exported = lines(Api("read").client)
    assert 'tollgate_usage_day_calls{provider="openai"} 2.0' in exported
    assert 'tollgate_usage_day_estimated_calls{provider="openai"} 2.0' in exported


@pytest.mark.usefixtures("_installed")
def test_callers_names_are_escaped_and_the_number_of_queries_is_fixed(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    PlatformDay.objects.create(day=AT.date(), declared="x", actual='evil"} 1\n\\', category="text", slot=0, calls=1)
    service = Api("read")
    service.client.get("/metrics")  # records the key's use
    with django_assert_num_queries(8):
        exported = lines(service.client)
    assert 'tollgate_usage_day_calls{provider="evil\\"} 1\\n\\\\"} 1.0' in exported


def test_the_largest_label_sets_are_kept_and_the_rest_are_summed() -> None:
    rows = [(f"p{number}", [number, 1]) for number in range(1, 6)]
    assert metric_labels.limit_labels([*rows, ("other", [9, 9])], limit=3) == {
        "other": [15, 12],
        "p5": [5, 1],
        "p4": [4, 1],
    }
    assert metric_labels.limit_labels([]) == {}
