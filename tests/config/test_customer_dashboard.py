"""The customer dashboard: its compact and detailed view, figures equal to the API's, and CSV files of its tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.alerts import alerts
from billing.models import Account
from billing.plans import subscriptions
from lib import money
from monitoring import health
from tests.billing import members
from tests.billing.usage import record

NOVEMBER_11 = datetime(2026, 11, 11, 0, 0, tzinfo=UTC)  # after ten of thirty days
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOVEMBER_11)]


@pytest.fixture(autouse=True)
def _fresh_health() -> None:
    health.measure_cached.cache_clear()


@pytest.fixture
def acme() -> Account:
    """An account with a budget of 25 USD, of which 10 are used."""
    account = members.create_account("acme")
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="test", at=NOVEMBER_11)
    wavespeed = {"provider": "video", "endpoint": "/video-generation/wavespeed", "cost_usd": "8.75"}
    record(
        account,
        NOVEMBER_11,
        {**wavespeed, "occurred_at": "2026-11-03T00:00:00Z"},
        {"model": "gpt-4o", "cost_usd": "1.25", "occurred_at": "2026-11-03T00:00:00Z"},
        {"model": "gpt-4o", "cost_usd": "3", "occurred_at": "2026-10-03T00:00:00Z"},
    )
    record(members.create_account("other"), NOVEMBER_11, {"cost_usd": "99"})
    alerts.sweep(NOVEMBER_11)
    return account


@pytest.fixture
def ada(acme: Account) -> Client:
    return members.logged_in_client(acme)


def format_exact_usd(nano: int) -> str:
    return f"{money.usd_from_nano(nano).normalize():f}"


def get_page(client: Client, **query: str) -> str:
    return client.get("/usage/", query).content.decode()


def test_the_figures_are_those_of_the_api(ada: Client) -> None:
    api: Any = ada.get("/api/v1/dashboard/").json()
    context: Any = ada.get("/usage/", {"view": "detailed"}).context
    summary, budget = context["summary"], api["summary"]["budget"]

    assert (format_exact_usd(summary.cost_nano), summary.calls) == ("10", 2)
    assert (api["summary"]["total_cost_usd"], api["summary"]["total_calls"]) == ("10", 2)
    assert (format_exact_usd(summary.budget.used_nano), format_exact_usd(summary.budget.limit_nano)) == ("10", "25")
    assert (budget["used_usd"], budget["limit_usd"]) == ("10", "25")
    assert format_exact_usd(context["projection"].cost_nano) == api["projection"]["cost_usd"] == "30"
    assert context["projection"].days_left == api["projection"]["days_left"] == 15
    assert [str(alert.id) for alert in context["alerts"]] == [alert["id"] for alert in api["alerts"]]
    assert [format_exact_usd(row.total) for row in context["months"].rows] == api["trends"]["cost_usd"]
    assert [format_exact_usd(row.total) for row in context["days"].rows] == api["days"]["cost_usd"]
    assert [(provider.key, format_exact_usd(provider.cost_nano)) for provider in summary.providers] == [
        (provider["provider"], provider["cost_usd"]) for provider in api["summary"]["provider_breakdown"]
    ]


def test_the_budget_shows_its_providers_and_the_days_left(ada: Client) -> None:
    text = get_page(ada)

    assert "At this rate, used up in 15 days, on 2026-11-26" in text
    assert text.index('value="40.00"') < text.index('<li class="chip">WaveSpeed: ') < text.index("<h2>Calls</h2>")
    assert '<span title="$8.75">$8.75</span>' in text
    assert "$99" not in text


def test_the_view_is_compact_by_default_and_the_choice_is_remembered(ada: Client) -> None:
    details = ("<h2>Spend by category and provider</h2>", "<h2>Cost by model</h2>", "<h2>Subscription history</h2>")
    assert [text in get_page(ada) for text in details] == [False, False, False]
    assert [text in get_page(ada, view="detailed") for text in details] == [True, True, True]
    assert [text in get_page(ada) for text in details] == [True, True, True]
    assert [text in get_page(ada, view="nonsense") for text in details] == [True, True, True]
    assert [text in get_page(ada, view="compact") for text in details] == [False, False, False]
    assert [text in get_page(ada) for text in details] == [False, False, False]


def test_a_period_can_be_chosen_and_an_invalid_one_is_the_current(ada: Client) -> None:
    october: Any = ada.get("/usage/", {"period": "2026-10"}).context
    assert (october["summary"].period.name, october["summary"].cost_nano) == ("2026-10", 3_000_000_000)
    assert ada.get("/usage/", {"period": "2026-13"}).context["summary"].period.name == "2026-11"


def test_without_usage_the_page_says_how_to_send_some(account: Account) -> None:
    text = get_page(members.logged_in_client(account))

    assert "No usage in this period" in text
    assert "curl http://testserver/api/v1/usage/" in text
    assert "&quot;account&quot;: &quot;acct_42&quot;" in text or '"account": "acct_42"' in text
    assert 'href="/admin/' not in text


@pytest.mark.parametrize("table", ["breakdown", "models", "days", "months"])
def test_each_table_has_its_csv(ada: Client, table: str) -> None:
    response: Any = ada.get("/usage/", {"csv": table, "view": "detailed"})
    lines = b"".join(response.streaming_content).decode().splitlines()

    assert response["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response["content-disposition"]
    assert len(lines) > 1
    assert "99" not in "".join(lines)


def test_an_unknown_csv_is_the_page(ada: Client) -> None:
    assert "<h1>Overview</h1>" in get_page(ada, csv="nonsense")


def test_the_health_card_shows_the_status_and_no_figures(ada: Client) -> None:
    response = ada.get("/usage/health-card/")

    assert '<span class="badge unknown">Unknown</span>' in response.content.decode()
    assert b"$" not in response.content


@pytest.mark.parametrize(("view", "queries"), [("compact", 14), ("detailed", 17)])
@pytest.mark.parametrize("rows", [1, 60])
def test_the_page_takes_a_fixed_number_of_queries(
    ada: Client,
    acme: Account,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
    view: str,
    queries: int,
    rows: int,
) -> None:
    monkeypatch.setattr(health, "CACHE_SECONDS", 3600)  # a slow machine must not outlast the cached measurement
    record(acme, NOVEMBER_11, *({"event_id": f"n{n}", "provider": f"p{n}", "category": "text"} for n in range(rows)))
    get_page(ada, view=view)
    with django_assert_num_queries(queries):
        get_page(ada)
