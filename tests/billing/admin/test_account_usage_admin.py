"""The usage page of an account in the admin: its figures, its CSV tables, and who may open it."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import accounts
from billing.models import Account
from tests.billing.ledger_rows import NOON
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]


@pytest.fixture
def account_with_usage(account: Account) -> Account:
    other = accounts.build(external_id="other", at=NOON)
    other.save(force_insert=True)
    record(other, NOON, {"provider": "anthropic", "cost_usd": "9"})
    record(
        account,
        NOON,
        {"provider": "video", "endpoint": "/video-generation/wavespeed", "model": "=wan", "cost_usd": "1.25"},
        {"provider": "openai", "model": "gpt-4o", "cost_usd": "0.004"},
        {"provider": "openai", "model": "<script>"},
    )
    return account


def usage_path(account: Account) -> str:
    return f"/admin/billing/account/{account.pk}/usage/"


def csv_rows(client: Client, account: Account, name: str) -> list[list[str]]:
    response: Any = client.get(usage_path(account), {"csv": name})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(response.getvalue().decode().splitlines()))


def test_the_page_shows_only_this_account(viewer: Client, account_with_usage: Account) -> None:
    page = viewer.get(usage_path(account_with_usage)).content.decode()

    assert '<p class="figure"><span title="$1.254">$1.25</span></p>' in page
    assert "WaveSpeed" in page
    assert "Anthropic</a>" not in page
    assert "&lt;script&gt;" in page
    assert (
        f"days=2026-11&amp;account={account_with_usage.external_id}&amp;category=video&amp;actual_provider=wavespeed"
        in page
    )


def test_the_figures_equal_those_of_the_api(viewer: Client, account_with_usage: Account, service: Api) -> None:
    dashboard = service.get("dashboard/", account="acct_42").json()
    summary: Any = viewer.get(usage_path(account_with_usage)).context["summary"]

    assert f"{summary.cost_nano / 10**9:.3f}" == dashboard["summary"]["total_cost_usd"] == "1.254"
    rows = csv_rows(viewer, account_with_usage, "breakdown")
    assert rows[0] == [
        *("category", "provider", "cost_usd", "percent", "calls", "errors", "tokens"),
        *("unpriced_calls", "estimated_calls"),
    ]
    assert [[row[0], row[1], row[2], row[4]] for row in rows[1:]] == [
        [category["label"], provider["label"], provider["cost_usd"], str(provider["calls"])]
        for category in dashboard["summary"]["category_breakdown"]
        for provider in category["providers"]
    ]
    days = csv_rows(viewer, account_with_usage, "days")
    assert [row[0] for row in days[1:]] == dashboard["days"]["periods"]
    assert [row[-1] for row in days[1:]] == dashboard["days"]["cost_usd"]
    assert [row[-1] for row in csv_rows(viewer, account_with_usage, "months")[1:]] == dashboard["trends"]["cost_usd"]


def test_the_csv_escapes_what_a_spreadsheet_would_run(viewer: Client, account_with_usage: Account) -> None:
    assert [row[1] for row in csv_rows(viewer, account_with_usage, "models")[1:]] == ["'=wan", "gpt-4o", "<script>"]


def test_a_period_without_usage_shows_how_to_send_events(viewer: Client, account: Account) -> None:
    page = viewer.get(usage_path(account), {"period": "2026-10"}).content.decode()

    assert "No usage in this period" in page
    assert "&quot;account&quot;: &quot;acct_42&quot;" in page or '"account": "acct_42"' in page


def test_an_unknown_csv_name_returns_the_page(viewer: Client, account_with_usage: Account) -> None:
    assert viewer.get(usage_path(account_with_usage), {"csv": "secrets"})["Content-Type"] == "text/html; charset=utf-8"


def test_an_unknown_account_is_404(viewer: Client, db: None) -> None:
    assert viewer.get("/admin/billing/account/999/usage/").status_code == 404


def test_staff_without_the_permission_are_refused(client: Client, account_with_usage: Account) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    assert client.get(usage_path(account_with_usage)).status_code == 403


def test_a_customer_is_redirected_to_the_login(client: Client, account_with_usage: Account) -> None:
    client.force_login(User.objects.create_user("customer"))
    assert client.get(usage_path(account_with_usage)).status_code == 302


def test_the_page_takes_a_fixed_number_of_queries(
    viewer: Client, account_with_usage: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    viewer.get(usage_path(account_with_usage))
    with django_assert_num_queries(18):
        viewer.get(usage_path(account_with_usage))


def test_the_account_page_and_list_link_to_the_usage_page(admin_client: Client, account: Account) -> None:
    assert usage_path(account) in admin_client.get(f"/admin/billing/account/{account.pk}/change/").content.decode()
    assert usage_path(account) in admin_client.get("/admin/billing/account/").content.decode()
