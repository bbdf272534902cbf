"""Provider health: the window, the figures of each actual provider, and what an account's caller may see of them."""

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
from billing.recording.metering import Source
from billing.reports import provider_health
from billing.reports.provider_health import LastError
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, 45, tzinfo=UTC)


def calls(account: Account, at: datetime, count: int, *, failed: int = 0, name: str = "e", **event: Any) -> None:
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


def shown(at: datetime = AT) -> list[tuple[str, str, int, int]]:
    return [(one.provider, one.status, one.calls, one.errors) for one in provider_health.measured(at).providers]


def test_calls_are_counted_by_actual_provider_in_five_full_minutes_and_the_running_one(account: Account) -> None:
    calls(account, AT - timedelta(minutes=6), 1)
    calls(account, AT - timedelta(minutes=5), 19, failed=1)
    calls(account, AT, 1)
    calls(account, AT, 4, name="v", provider="video", endpoint="/video-generation/wavespeed")

    assert shown() == [("openai", "healthy", 20, 1), ("wavespeed", "healthy", 4, 0)]
    measured = provider_health.measured(AT)
    assert (measured.window_seconds, measured.as_of, measured.reason) == (345, AT, None)


@pytest.mark.parametrize(
    ("count", "failed", "status", "rate"),
    [(100, 5, "healthy", 5.0), (100, 6, "warning", 6.0), (100, 10, "warning", 10.0), (100, 11, "critical", 11.0)],
)
def test_status_is_judged_over_the_thresholds(
    account: Account, count: int, failed: int, status: str, rate: float
) -> None:
    calls(account, AT, count, failed=failed)
    (one,) = provider_health.measured(AT).providers
    assert (one.status, one.reason, one.error_rate) == (status, None, rate)


def test_percentiles_are_of_calls_that_told_their_time(account: Account) -> None:
    calls(account, AT, 90, response_time_ms=0)
    calls(account, AT - timedelta(seconds=1), 10, response_time_ms=1_500)
    (one,) = provider_health.measured(AT).providers
    assert (one.calls, one.p50_ms, one.p95_ms, one.p99_ms) == (100, 1750.0, 2425.0, 2485.0)


def test_without_a_told_time_there_are_no_percentiles(account: Account) -> None:
    calls(account, AT, 3, response_time_ms=0)
    (one,) = provider_health.measured(AT).providers
    assert (one.status, one.p50_ms, one.p95_ms, one.p99_ms) == ("healthy", None, None, None)


@pytest.mark.parametrize(
    ("milliseconds", "column"),
    [(1, "ms_100"), (100, "ms_100"), (101, "ms_250"), (300_000, "ms_300000"), (300_001, "ms_more"), (10**9, "ms_more")],
)
def test_a_bound_belongs_to_the_column_that_it_names(account: Account, milliseconds: int, column: str) -> None:
    calls(account, AT, 1, response_time_ms=milliseconds)
    minute = ProviderMinute.objects.values().get()
    assert {name: count for name, count in minute.items() if name.startswith("ms_") and count} == {column: 1}


def test_a_provider_without_calls_in_the_window_is_unknown_and_listed_for_an_hour(account: Account) -> None:
    calls(account, AT - timedelta(minutes=59), 1)
    assert shown() == [("openai", "unknown", 0, 0)]
    assert provider_health.measured(AT).providers[0].reason == "no_requests"
    assert shown(AT + timedelta(minutes=1)) == []


def test_imported_history_says_nothing_of_today(account: Account) -> None:
    event = parse({"event_id": "old", "provider": "openai", "status_code": 500})
    metering.record([event], source=Source(account=account, any_age=True, live=False), at=AT)
    assert shown() == []


def test_the_newest_failed_call_is_told_with_its_status_and_message(account: Account) -> None:
    now = timezone.now()
    record(
        account,
        now,
        {"event_id": "a", "status_code": 500, "error_message": "first"},
        {"event_id": "b", "status_code": 429, "error_message": "slow down"},
        {"event_id": "c"},
    )
    log = UsageLog.objects.get(event_id="b")
    (one,) = provider_health.measured(now).providers
    assert one.last_error == LastError(log.received_at, 429, "slow down")


def test_an_error_whose_log_is_not_found_is_told_with_its_minute(account: Account) -> None:
    calls(account, AT, 2, failed=1)  # its id was made now, not then
    (one,) = provider_health.measured(AT).providers
    assert one.last_error == LastError(AT.replace(second=0), None, "")


def test_a_failed_measurement_shows_no_provider_and_says_so(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_args: object) -> None:
        raise OperationalError

    calls(account, AT, 1)
    monkeypatch.setattr(provider_health, "_rows", away)
    assert provider_health.measured(AT) == provider_health.Providers((), 345, AT, "not_measured")
    assert [one.message for one in caplog.records] == ["Provider health could not be measured"]


def test_thresholds_and_window_are_settings(account: Account, settings: Settings) -> None:
    settings.HEALTH_WINDOW_MINUTES, settings.HEALTH_WARNING_PERCENT, settings.HEALTH_CRITICAL_PERCENT = 1, 0, 50
    calls(account, AT - timedelta(minutes=2), 10, failed=10)
    calls(account, AT, 10, failed=1)
    assert shown() == [("openai", "warning", 10, 1)]


def test_it_takes_two_queries_and_one_for_each_provider_with_errors(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    calls(account, AT, 3)
    provider_health.measured(AT)
    with django_assert_num_queries(2):  # the rulebook's version is one, for the labels
        provider_health.measured(AT)
    calls(account, AT, 3, failed=3, name="f")
    with django_assert_num_queries(3):
        provider_health.measured(AT)


def test_the_answer(service: Api, account: Account) -> None:
    now = timezone.now()
    record(account, now, *({"event_id": f"{n}", "response_time_ms": 800} for n in range(9)))
    record(account, now, {"event_id": "x", "status_code": 500, "error_message": "no", "response_time_ms": 800})
    log = UsageLog.objects.get(event_id="x")
    answer = service.get("health/providers/")
    body = answer.json()
    seconds = body["window_seconds"]
    assert (answer.status_code, body["reason"], 300 <= seconds <= 361) == (200, None, True)
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


def test_an_accounts_caller_sees_the_state_of_its_own_providers_and_nothing_of_other_accounts(
    service: Api, bound: Api, account: Account
) -> None:
    other = {"account": "theirs", "error_message": "secret", "response_time_ms": 800}
    for number in range(3):
        service.post("usage/", {**other, "event_id": f"a{number}", "provider": "openai", "status_code": 500})
    service.post("usage/", {**other, "event_id": "b", "provider": "mistral"})
    bound.post("usage/", {"event_id": "c", "provider": "openai", "response_time_ms": 800})

    assert [one["provider"] for one in service.get("health/providers/").json()["results"]] == ["openai", "mistral"]
    answer = bound.get("health/providers/")
    assert answer.json()["results"] == [
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
    assert b"secret" not in answer.content


@pytest.mark.parametrize(("scopes", "status"), [((), 403), (("ingest",), 403), (("read",), 200)])
def test_it_needs_the_scope_read(db: None, scopes: tuple[str, ...], status: int) -> None:
    assert Api(*scopes).get("health/providers/").status_code == status


def test_it_needs_a_caller(client: Client) -> None:
    assert client.get("/api/v1/health/providers/").status_code == 401


def test_the_chips_tell_name_state_and_figures_and_lead_to_the_failed_calls(viewer: Client, account: Account) -> None:
    provider_health.measured_in.cache_clear()
    record(account, timezone.now(), {"status_code": 500, "response_time_ms": 20_000, "error_message": "<b>"})
    page = viewer.get("/admin/provider-health/").content.decode()
    provider_health.measured_in.cache_clear()
    assert '<span class="badge critical">Critical</span>' in page
    assert 'usagelog/?days=1&amp;actual_provider=openai&amp;status=failed">OpenAI</a>' in page
    assert "100.0 % of 1 failed, p95 29.0 s" in page


def test_without_calls_the_row_says_so(viewer: Client) -> None:
    provider_health.measured_in.cache_clear()
    assert "No calls came in during the last hour" in viewer.get("/admin/provider-health/").content.decode()
    provider_health.measured_in.cache_clear()


def test_who_may_not_see_usage_sees_no_chips(db: None, client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert client.get("/admin/provider-health/").status_code == 403
