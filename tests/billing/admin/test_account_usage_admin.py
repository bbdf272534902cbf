"""`/admin/billing/account/{id}/usage/`: what the first page shows, for one account; and its tables as CSV."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import accounts
from billing.models import Account
from tests.billing.ledger_rows import NOW
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def usage(account: Account) -> Account:
    other = accounts.new(external_id="other", at=NOW)
    other.save(force_insert=True)
    record(other, NOW, {"provider": "anthropic", "cost_usd": "9"})
    record(
        account,
        NOW,
        {"provider": "video", "endpoint": "/video-generation/wavespeed", "model": "=wan", "cost_usd": "1.25"},
        {"provider": "openai", "model": "gpt-4o", "cost_usd": "0.004"},
        {"provider": "openai", "model": "<script>"},
    )
    return account


def address(account: Account) -> str:
    return f"/admin/billing/account/{account.pk}/usage/"


def lines(client: Client, account: Account, name: str) -> list[list[str]]:
    answer: Any = client.get(address(account), {"csv": name})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(answer.getvalue().decode().splitlines()))


def test_it_shows_this_account_and_no_other(viewer: Client, usage: Account) -> None:
    page = viewer.get(address(usage)).content.decode()

    assert '<p class="figure"><span title="$1.254">$1.25</span></p>' in page
    assert "WaveSpeed" in page
    assert "Anthropic</a>" not in page
    assert "&lt;script&gt;" in page
    assert f"days=2026-11&amp;account={usage.external_id}&amp;category=video&amp;actual_provider=wavespeed" in page


def test_its_figures_are_those_of_the_api(viewer: Client, usage: Account, service: Api) -> None:
    told = service.get("dashboard/", account="acct_42").json()
    summary: Any = viewer.get(address(usage)).context["summary"]

    assert f"{summary.cost_nano / 10**9:.3f}" == told["summary"]["total_cost_usd"] == "1.254"
    rows = lines(viewer, usage, "breakdown")
    assert rows[0] == ["category", "provider", "cost_usd", "percent", "calls", "errors", "tokens", "unpriced_calls"]
    assert [[row[0], row[1], row[2], row[4]] for row in rows[1:]] == [
        [category["label"], part["label"], part["cost_usd"], str(part["calls"])]
        for category in told["summary"]["category_breakdown"]
        for part in category["providers"]
    ]
    days = lines(viewer, usage, "days")
    assert [row[0] for row in days[1:]] == told["days"]["periods"]
    assert [row[-1] for row in days[1:]] == told["days"]["cost_usd"]
    assert [row[-1] for row in lines(viewer, usage, "months")[1:]] == told["trends"]["cost_usd"]


def test_what_a_spreadsheet_would_run_is_defused(viewer: Client, usage: Account) -> None:
    assert [row[1] for row in lines(viewer, usage, "models")[1:]] == ["'=wan", "gpt-4o", "<script>"]


def test_a_period_without_usage_says_how_to_send_some(viewer: Client, account: Account) -> None:
    page = viewer.get(address(account), {"period": "2026-10"}).content.decode()

    assert "No usage in this period" in page
    assert "&quot;account&quot;: &quot;acct_42&quot;" in page or '"account": "acct_42"' in page


def test_an_unknown_table_is_the_page(viewer: Client, usage: Account) -> None:
    assert viewer.get(address(usage), {"csv": "secrets"})["Content-Type"] == "text/html; charset=utf-8"


def test_an_account_that_there_is_not(viewer: Client, db: None) -> None:
    assert viewer.get("/admin/billing/account/999/usage/").status_code == 404


def test_staff_without_the_permission_are_refused(client: Client, usage: Account) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    assert client.get(address(usage)).status_code == 403


def test_a_customer_is_sent_to_the_log_in(client: Client, usage: Account) -> None:
    client.force_login(User.objects.create_user("customer"))
    assert client.get(address(usage)).status_code == 302


def test_it_takes_a_fixed_number_of_queries(
    viewer: Client, usage: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    viewer.get(address(usage))
    with django_assert_num_queries(18):
        viewer.get(address(usage))


def test_the_accounts_page_leads_there(admin_client: Client, account: Account) -> None:
    assert address(account) in admin_client.get(f"/admin/billing/account/{account.pk}/change/").content.decode()
    assert address(account) in admin_client.get("/admin/billing/account/").content.decode()
