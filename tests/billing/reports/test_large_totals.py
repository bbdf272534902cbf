"""Totals of many accounts beyond 64 bits: every page and answer about the platform is exact, and none fails."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db.models import Q
from django.test import Client

from billing.accounts import accounts
from billing.archive import archived
from billing.ledger import rollups
from billing.models import Account, PlatformDay, ProviderMinute, UsageDay, UsageModel
from billing.reports import metrics, provider_health, reports, trends
from billing.verification import rollup_check
from tests.conftest import Api

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

TODAY, PERIOD = NOON.date(), date(2026, 11, 1)
LARGE = 9 * 10**18
TOTAL_USD, TOTAL_NANO = "27000000000", 3 * LARGE


@pytest.fixture(autouse=True)
def _three_large_accounts(db: None) -> None:
    """Each has used 9,000,000,000 USD today; the platform has them in three rows."""
    counters = {"calls": 1, "tokens_total": LARGE, "cost_nano": LARGE}
    for slot, name in enumerate("abc"):
        account = accounts.build(external_id=name, at=NOON)
        account.save(force_insert=True)
        key = {"declared": "openai", "actual": "openai", "category": "text"}
        UsageDay.objects.create(account=account, day=TODAY, **key, **counters)
        UsageModel.objects.create(account=account, period=PERIOD, actual="openai", model="m", **counters)
        PlatformDay.objects.create(day=TODAY, **key, slot=slot, response_time_sum=LARGE, **counters)
        ProviderMinute.objects.create(minute=NOON, actual="openai", slot=slot, calls=LARGE, response_time_sum=LARGE)


def test_the_platform_s_summary_and_its_breakdowns(service: Api) -> None:
    summary = service.get("usage/summary/").json()
    (provider,) = summary["provider_breakdown"]

    assert (summary["total_cost_usd"], summary["total_tokens"]) == (TOTAL_USD, TOTAL_NANO)
    assert (provider["cost_usd"], provider["percent"]) == (TOTAL_USD, 100.0)


def test_trends_by_day_and_month(service: Api) -> None:
    for query in ({"days": "7"}, {"months": "3"}):
        body = service.get("usage/trends/", **query).json()
        assert (body["cost_usd"][-1], body["tokens"][-1]) == (TOTAL_USD, TOTAL_NANO)
        assert body["providers"]["openai"]["cost_usd"][-1] == TOTAL_USD
    assert trends.by_day(None, 7, NOON, {}).total.cost_nano[-1] == TOTAL_NANO


def test_reports() -> None:
    assert reports.cost_nano_between(None, PERIOD, date(2026, 12, 1)) == TOTAL_NANO
    assert [cell.cost_nano for cell in reports.cells_between(None, PERIOD, date(2026, 12, 1))] == [TOTAL_NANO]


@pytest.mark.parametrize("path", ["/admin/", "/admin/?csv=days", "/admin/?csv=providers", "/admin/health-card/"])
def test_the_operators_dashboard(admin_client: Client, path: str) -> None:
    response = admin_client.get(path)
    content = b"".join(response) if response.streaming else response.content
    assert response.status_code == 200
    if "health" not in path:
        assert b"27,000,000,000" in content or b"27000000000" in content


@pytest.mark.parametrize("name", "abc")
def test_each_account(service: Api, admin_client: Client, name: str) -> None:
    account = Account.objects.get(external_id=name)
    assert service.get("usage/summary/", account=name).json()["total_cost_usd"] == "9000000000"
    assert service.get("dashboard/", account=name).status_code == 200
    assert admin_client.get(f"/admin/billing/account/{account.pk}/usage/").status_code == 200


def test_provider_health_and_metrics(service: Api) -> None:
    (health,) = provider_health.measure(NOON).providers
    assert health.calls == TOTAL_NANO
    assert service.get("health/providers/").status_code == 200

    figures = metrics.load(NOON)
    assert (figures.day["openai"][3], figures.minutes["openai"][0]) == (TOTAL_NANO, TOTAL_NANO)


def test_the_checks_of_the_ledger() -> None:
    stored = rollup_check._stored(rollups.PLATFORM_DAYS, Q())
    assert [counts[3] for counts in stored.values()] == [TOTAL_NANO]
    assert archived.totals(rollups.PLATFORM_DAYS, Q()) == {}


def test_a_decision_reads_an_account_beyond_64_bits(service: Api) -> None:
    """Two rows of one kind of call, as an earlier release could record them."""
    account = Account.objects.get(external_id="a")
    row = UsageDay.objects.get(account=account)
    UsageDay.objects.create(
        account=account, day=PERIOD, declared=row.declared, actual=row.actual, category="text", cost_nano=LARGE
    )
    response = service.post("preflight/", {"account": "a", "operations": [{"provider": "openai"}]})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "max_value")
