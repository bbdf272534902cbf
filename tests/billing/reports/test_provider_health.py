"""Provider health: the time window, the figures of each actual provider, and what an account may see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from billing.events.events import parse
from billing.models import Account, ProviderMinute, UsageLog
from billing.recording import metering
from billing.recording.metering import EventSource
from billing.reports import provider_health
from billing.reports.provider_health import LastError
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db
MEASURED_AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)


def record_calls(account: Account, at: datetime, count: int, *, failed: int = 0, name: str = "e", **event: Any) -> None:
    batch = [
        {
            "event_id": f"{name}{at:%H%M%S}-{n}",
            "status_code": 503 if n < failed else 200,
            "response_time_ms": 800,
            **event,
        }
        for n in range(count)
    ]
    record(account, at, *batch)


def summaries(at: datetime = MEASURED_AT) -> list[tuple[str, str, int, int]]:
    return [
        (provider.provider, provider.status, provider.calls, provider.errors)
        for provider in provider_health.measure(at).providers
    ]


def test_calls_are_counted_by_actual_provider_over_five_full_minutes_and_the_current_one(account: Account) -> None:
    record_calls(account, MEASURED_AT - timedelta(minutes=6), 1)
    record_calls(account, MEASURED_AT - timedelta(minutes=5), 19, failed=1)
    record_calls(account, MEASURED_AT, 1)
    record_calls(account, MEASURED_AT, 4, name="v", provider="video", endpoint="/video-generation/wavespeed")

    assert summaries() == [("openai", "healthy", 20, 1), ("wavespeed", "healthy", 4, 0)]
    measured = provider_health.measure(MEASURED_AT)
    assert (measured.window_seconds, measured.as_of, measured.reason) == (345, MEASURED_AT, None)


@pytest.mark.parametrize(
    ("count", "failed", "status", "rate"),
    [(100, 5, "healthy", 5.0), (100, 6, "warning", 6.0), (100, 10, "warning", 10.0), (100, 11, "critical", 11.0)],
)
def test_the_status_changes_above_each_threshold(
    account: Account, count: int, failed: int, status: str, rate: float
) -> None:
    record_calls(account, MEASURED_AT, count, failed=failed)
    (provider,) = provider_health.measure(MEASURED_AT).providers
    assert (provider.status, provider.reason, provider.error_rate) == (status, None, rate)


def test_percentiles_count_only_calls_with_a_response_time(account: Account) -> None:
    record_calls(account, MEASURED_AT, 90, response_time_ms=0)
    record_calls(account, MEASURED_AT - timedelta(seconds=1), 10, response_time_ms=1_500)
    (provider,) = provider_health.measure(MEASURED_AT).providers
    assert (provider.calls, provider.p50_ms, provider.p95_ms, provider.p99_ms) == (100, 1750.0, 2425.0, 2485.0)


def test_without_response_times_there_are_no_percentiles(account: Account) -> None:
    record_calls(account, MEASURED_AT, 3, response_time_ms=0)
    (provider,) = provider_health.measure(MEASURED_AT).providers
    assert (provider.status, provider.p50_ms, provider.p95_ms, provider.p99_ms) == ("healthy", None, None, None)


@pytest.mark.parametrize(
    ("milliseconds", "column"),
    [(1, "ms_100"), (100, "ms_100"), (101, "ms_250"), (300_000, "ms_300000"), (300_001, "ms_more"), (10**9, "ms_more")],
)
def test_each_response_time_column_includes_its_upper_bound(account: Account, milliseconds: int, column: str) -> None:
    record_calls(account, MEASURED_AT, 1, response_time_ms=milliseconds)
    minute = ProviderMinute.objects.values().get()
    assert {name: count for name, count in minute.items() if name.startswith("ms_") and count} == {column: 1}


def test_a_provider_without_calls_in_the_window_is_unknown_and_listed_for_an_hour(account: Account) -> None:
    record_calls(account, MEASURED_AT - timedelta(minutes=59), 1)
    assert summaries() == [("openai", "unknown", 0, 0)]
    assert provider_health.measure(MEASURED_AT).providers[0].reason == "no_requests"
    assert summaries(MEASURED_AT + timedelta(minutes=1)) == []


def test_imported_calls_do_not_count(account: Account) -> None:
    event = parse({"event_id": "old", "provider": "openai", "status_code": 500})
    metering.record([event], source=EventSource(account=account, any_age=True, live=False), at=MEASURED_AT)
    assert summaries() == []


def test_the_last_failed_call_is_reported_with_its_status_and_message(account: Account) -> None:
    now = timezone.now()
    record(
        account,
        now,
        {"event_id": "a", "status_code": 500, "error_message": "first"},
        {"event_id": "b", "status_code": 429, "error_message": "slow down"},
        {"event_id": "c"},
    )
    log = UsageLog.objects.get(event_id="b")
    (provider,) = provider_health.measure(now).providers
    assert provider.last_error == LastError(log.received_at, 429, "slow down")


def test_an_error_without_a_log_is_reported_with_its_minute(account: Account) -> None:
    record_calls(account, MEASURED_AT, 2, failed=1)  # the log's id contains the current time, not MEASURED_AT
    (provider,) = provider_health.measure(MEASURED_AT).providers
    assert provider.last_error == LastError(MEASURED_AT.replace(second=0), None, "")


def test_a_failed_measurement_lists_no_providers_and_gives_the_reason(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def raise_error(*_args: object) -> None:
        raise OperationalError

    record_calls(account, MEASURED_AT, 1)
    monkeypatch.setattr(provider_health, "_rows", raise_error)
    assert provider_health.measure(MEASURED_AT) == provider_health.ProviderHealthReport(
        (), 345, MEASURED_AT, "not_measured"
    )
    assert [entry.message for entry in caplog.records] == ["Provider health could not be measured"]


def test_thresholds_and_window_are_settings(account: Account, settings: Settings) -> None:
    settings.HEALTH_WINDOW_MINUTES, settings.HEALTH_WARNING_PERCENT, settings.HEALTH_CRITICAL_PERCENT = 1, 0, 50
    record_calls(account, MEASURED_AT - timedelta(minutes=2), 10, failed=10)
    record_calls(account, MEASURED_AT, 10, failed=1)
    assert summaries() == [("openai", "warning", 10, 1)]


def test_measuring_takes_two_queries_and_one_per_provider_with_errors(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    record_calls(account, MEASURED_AT, 3)
    provider_health.measure(MEASURED_AT)
    with django_assert_num_queries(2):  # one of them reads the version of the provider labels
        provider_health.measure(MEASURED_AT)
    record_calls(account, MEASURED_AT, 3, failed=3, name="f")
    with django_assert_num_queries(3):
        provider_health.measure(MEASURED_AT)


def test_a_service_gets_all_figures(service: Api, account: Account) -> None:
    now = timezone.now()
    record(account, now, *({"event_id": f"{n}", "response_time_ms": 800} for n in range(9)))
    record(account, now, {"event_id": "x", "status_code": 500, "error_message": "no", "response_time_ms": 800})
    log = UsageLog.objects.get(event_id="x")
    response = service.get("health/providers/")
    body = response.json()
    seconds = body["window_seconds"]
    assert (response.status_code, body["reason"], 300 <= seconds <= 361) == (200, None, True)
    assert body["results"] == [
        {
            "provider": "openai",
            "label": "OpenAI",
            "status": "warning",
            "reason": None,
            "recent_requests": 10,
            "recent_errors": 1,
            "error_rate": 10.0,
            "requests_per_minute": round(600 / seconds, 2),
            "p50_ms": 750.0,
            "p95_ms": 975.0,
            "p99_ms": 995.0,
            "last_error": {
                "at": log.received_at.isoformat().replace("+00:00", "Z"),
                "status_code": 500,
                "message": "no",
            },
        }
    ]


def test_an_account_sees_the_status_of_its_own_providers_and_nothing_of_other_accounts(
    service: Api, bound: Api, account: Account
) -> None:
    event_of_other = {"account": "theirs", "error_message": "secret", "response_time_ms": 800}
    for number in range(3):
        service.post("usage/", {**event_of_other, "event_id": f"a{number}", "provider": "openai", "status_code": 500})
    service.post("usage/", {**event_of_other, "event_id": "b", "provider": "mistral"})
    bound.post("usage/", {"event_id": "c", "provider": "openai", "response_time_ms": 800})

    assert [row["provider"] for row in service.get("health/providers/").json()["results"]] == ["openai", "mistral"]
    response = bound.get("health/providers/")
    assert response.json()["results"] == [
        {
            "provider": "openai",
            "label": "OpenAI",
            "status": "critical",
            "reason": None,
            "recent_requests": None,
            "recent_errors": None,
            "error_rate": 75.0,
            "requests_per_minute": None,
            "p50_ms": 750.0,
            "p95_ms": 975.0,
            "p99_ms": 995.0,
            "last_error": None,
        }
    ]
    assert b"secret" not in response.content


@pytest.mark.parametrize(("scopes", "status"), [((), 403), (("ingest",), 403), (("read",), 200)])
def test_the_endpoint_requires_the_read_scope(db: None, scopes: tuple[str, ...], status: int) -> None:
    assert Api(*scopes).get("health/providers/").status_code == status


def test_the_endpoint_requires_authentication(client: Client) -> None:
    assert client.get("/api/v1/health/providers/").status_code == 401


def test_the_admin_shows_status_and_figures_and_links_to_the_failed_calls(viewer: Client, account: Account) -> None:
    provider_health.measure_cached.cache_clear()
    record(account, timezone.now(), {"status_code": 500, "response_time_ms": 20_000, "error_message": "<b>"})
    html = viewer.get("/admin/provider-health/").content.decode()
    provider_health.measure_cached.cache_clear()
    assert '<span class="badge critical">Critical</span>' in html
    assert 'usagelog/?days=1&amp;actual_provider=openai&amp;status=failed">OpenAI</a>' in html
    assert "100.0 % of 1 failed, p95 29.0 s" in html


def test_without_calls_the_admin_says_that_health_is_unknown(viewer: Client) -> None:
    provider_health.measure_cached.cache_clear()
    assert (
        "No calls in the last hour, so provider health is unknown."
        in viewer.get("/admin/provider-health/").content.decode()
    )
    provider_health.measure_cached.cache_clear()


def test_staff_who_may_not_view_usage_may_not_view_provider_health(
    db: None, client: Client, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert client.get("/admin/provider-health/").status_code == 403
