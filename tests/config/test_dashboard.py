"""The operator dashboard: the month's cost by provider and category, and the service's health."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from billing.alerts import alerts
from billing.models import Account, UsageLog
from billing.reports import provider_health
from monitoring import health
from tests.billing.usage import record

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_health() -> None:
    health.measure_cached.cache_clear()
    provider_health.measure_cached.cache_clear()


def record_usage(account: Account, at: datetime) -> None:
    record(
        account,
        at,
        {"provider": "video", "endpoint": "/video-generation/wavespeed", "cost_usd": "1.25"},
        {"provider": "openai", "model": "gpt-4o", "cost_usd": "0.004"},
        {"provider": "video"},
    )


def test_an_operator_sees_the_cost_of_each_provider_and_category(admin_client: Client, account: Account) -> None:
    record_usage(account, timezone.now())
    page = admin_client.get("/admin/").content.decode()

    assert '<p class="figure"><span title="$1.254">$1.25</span></p>' in page
    assert '<li class="chip">WaveSpeed: <span title="$1.25">$1.25</span></li>' in page
    assert '<li class="chip">OpenAI: <span title="$0.004">&lt;$0.01</span></li>' in page
    assert '<th scope="row">Video</th>' in page
    assert '<th scope="row">Text</th>' in page
    assert '<span class="unpriced">1 unpriced</span>' in page


def test_the_days_are_a_chart_and_a_csv_file(admin_client: Client, account: Account) -> None:
    record_usage(account, timezone.now())
    page: Any = admin_client.get("/admin/")
    rows = admin_client.get("/admin/", {"csv": "days"}).getvalue().decode().splitlines()

    assert page.content.decode().count('data-usd="1.25"') == 1
    assert rows[0] == "day,WaveSpeed,OpenAI,Unknown,total_usd"
    assert rows[-1] == f"{timezone.now():%Y-%m-%d},1.25,0.004,0,1.254"
    assert len(rows) == timezone.now().day + 1
    assert len(page.context["days"].rows) == timezone.now().day


def test_the_csv_files_need_the_permission(client: Client, account: Account) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    assert client.get("/admin/", {"csv": "days"})["Content-Type"] == "text/html; charset=utf-8"


def test_accounts_near_a_limit_and_new_alerts_are_listed(admin_client: Client, account: Account) -> None:
    record(account, timezone.now(), {"cost_usd": "1.9"})
    alerts.sweep(timezone.now())
    page = admin_client.get("/admin/").content.decode()

    assert f'<a href="/admin/billing/account/{account.pk}/usage/">acct_42</a>' in page
    assert "95.0 %" in page
    assert "Monthly cost: 95 % of the limit reached. $1.90 of $2.00 used (95.00 %)" in page


def test_a_month_without_usage_shows_how_to_send_some(admin_client: Client, account: Account) -> None:
    record_usage(account, timezone.now())
    page = admin_client.get("/admin/", {"period": "2020-01"}).content.decode()

    assert "No usage in this month" in page
    assert "curl http://testserver/api/v1/usage/" in page


def test_an_invalid_month_is_the_current_one(admin_client: Client) -> None:
    current: Any = admin_client.get("/admin/").context["summary"]
    summary: Any = admin_client.get("/admin/", {"period": "2026-13"}).context["summary"]
    assert summary.period == current.period


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_the_change_compares_the_same_days_of_the_previous_month(account: Account) -> None:
    from billing.accounts import usage_periods
    from billing.reports import reports

    at = datetime(2026, 11, 10, 12, tzinfo=timezone.now().tzinfo)
    record(account, at, {"event_id": "now", "cost_usd": "3", "occurred_at": "2026-11-10T00:00:00Z"})
    record(account, at, {"event_id": "then", "cost_usd": "2", "occurred_at": "2026-10-10T23:59:59Z"})
    record(account, at, {"event_id": "later", "cost_usd": "9", "occurred_at": "2026-10-11T00:00:00Z"})

    comparison = reports.compare_periods(reports.summary(None, usage_periods.current_period(None, at), at), at)
    assert (comparison.previous_nano, str(comparison.change_percent)) == (2_000_000_000, "50.00")
    assert comparison.projected_nano == 3_000_000_000 * 30 * 24 // (9 * 24 + 12)


def test_without_a_measurement_health_is_unknown(admin_client: Client) -> None:
    page = admin_client.get("/admin/health-card/").content.decode()

    assert '<span class="badge unknown">Unknown</span>' in page
    assert "Healthy" not in page


def test_the_number_of_queries_is_fixed(
    admin_client: Client, account: Account, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (health, provider_health):
        monkeypatch.setattr(module, "CACHE_SECONDS", 3600)  # a slow machine must not outlast the cached measurement
    record_usage(account, timezone.now())
    admin_client.get("/admin/")
    # Session, user, version of the labels, summary, its late corrections, unread alerts, previous month, days, months with
    # usage, alerts of accounts near a limit, subscriptions. The health of the service and of providers is cached.
    with django_assert_num_queries(12):
        admin_client.get("/admin/")


def test_staff_without_the_permission_see_no_figures(client: Client, account: Account) -> None:
    record_usage(account, timezone.now() - timedelta(minutes=1))
    client.force_login(User.objects.create_user("new", is_staff=True))
    page = client.get("/admin/").content.decode()

    assert "have permission to view usage. Ask an administrator to add you to the Viewer or Operator group." in page
    assert "WaveSpeed" not in page


@pytest.mark.parametrize(("group", "may_edit"), [("Viewer", False), ("Operator", True)])
def test_viewers_and_operators_see_usage_and_only_operators_edit(client: Client, group: str, may_edit: bool) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)

    assert client.get("/admin/billing/usagelog/").status_code == 200
    assert client.get("/admin/providers/detectionrule/add/").status_code == (200 if may_edit else 403)
    assert client.get("/admin/billing/apikey/add/").status_code == (200 if may_edit else 403)
    assert not UsageLog.objects.exists()
