"""The customers' first page: compact or in full, with the figures of the API's `dashboard/`; and its tables as CSV."""

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

NOW = datetime(2026, 11, 11, 0, 0, tzinfo=UTC)  # ten of thirty days are over
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOW)]


@pytest.fixture(autouse=True)
def _now() -> None:
    health.measured_in.cache_clear()


@pytest.fixture
def acme() -> Account:
    """On a plan with a budget of 25 USD, of which 10 are used."""
    account = members.account("acme")
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="test", at=NOW)
    wavespeed = {"provider": "video", "endpoint": "/video-generation/wavespeed", "cost_usd": "8.75"}
    record(
        account,
        NOW,
        {**wavespeed, "occurred_at": "2026-11-03T00:00:00Z"},
        {"model": "gpt-4o", "cost_usd": "1.25", "occurred_at": "2026-11-03T00:00:00Z"},
        {"model": "gpt-4o", "cost_usd": "3", "occurred_at": "2026-10-03T00:00:00Z"},
    )
    record(members.account("other"), NOW, {"cost_usd": "99"})
    alerts.sweep(NOW)
    return account


@pytest.fixture
def ada(acme: Account) -> Client:
    return members.client(acme)


def exact(nano: int) -> str:
    return f"{money.usd_from_nano(nano).normalize():f}"


def page(client: Client, **query: str) -> str:
    return client.get("/usage/", query).content.decode()


def test_the_figures_are_those_of_the_api(ada: Client) -> None:
    told: Any = ada.get("/api/v1/dashboard/").json()
    shown: Any = ada.get("/usage/", {"view": "detailed"}).context
    summary, budget = shown["summary"], told["summary"]["budget"]

    assert (exact(summary.cost_nano), summary.calls) == ("10", 2)
    assert (told["summary"]["total_cost_usd"], told["summary"]["total_calls"]) == ("10", 2)
    assert (exact(summary.budget.used_nano), exact(summary.budget.limit_nano)) == ("10", "25")
    assert (budget["used_usd"], budget["limit_usd"]) == ("10", "25")
    assert exact(shown["projection"].cost_nano) == told["projection"]["cost_usd"] == "30"
    assert shown["projection"].days_left == told["projection"]["days_left"] == 15
    assert [str(one.id) for one in shown["alerts"]] == [one["id"] for one in told["alerts"]]
    assert [exact(step.whole) for step in shown["months"].steps] == told["trends"]["cost_usd"]
    assert [exact(step.whole) for step in shown["days"].steps] == told["days"]["cost_usd"]
    assert [(one.key, exact(one.cost_nano)) for one in summary.providers] == [
        (one["provider"], one["cost_usd"]) for one in told["summary"]["provider_breakdown"]
    ]


def test_the_budget_has_the_providers_below_it_and_the_days_left(ada: Client) -> None:
    text = page(ada)

    assert "15 days left at this rate: used up on 2026-11-26" in text
    assert text.index('value="40.00"') < text.index('<li class="chip">WaveSpeed: ') < text.index("<h2>Calls</h2>")
    assert '<span title="$8.75">$8.75</span>' in text
    assert "$99" not in text


def test_compact_unless_the_detailed_view_was_chosen_which_is_remembered(ada: Client) -> None:
    details = ("<h2>Category by provider</h2>", "<h2>Cost by model</h2>", "<h2>Renewal history</h2>")
    assert [text in page(ada) for text in details] == [False, False, False]
    assert [text in page(ada, view="detailed") for text in details] == [True, True, True]
    assert [text in page(ada) for text in details] == [True, True, True]
    assert [text in page(ada, view="nonsense") for text in details] == [True, True, True]
    assert [text in page(ada, view="compact") for text in details] == [False, False, False]
    assert [text in page(ada) for text in details] == [False, False, False]


def test_another_period_is_picked_and_an_impossible_one_is_the_current(ada: Client) -> None:
    october: Any = ada.get("/usage/", {"period": "2026-10"}).context
    assert (october["summary"].period.name, october["summary"].cost_nano) == ("2026-10", 3_000_000_000)
    assert ada.get("/usage/", {"period": "2026-13"}).context["summary"].period.name == "2026-11"


def test_without_usage_it_says_how_to_send_some(account: Account) -> None:
    text = page(members.client(account))

    assert "No usage in this period" in text
    assert "curl http://testserver/api/v1/usage/" in text
    assert "&quot;account&quot;: &quot;acct_42&quot;" in text or '"account": "acct_42"' in text
    assert 'href="/admin/' not in text


@pytest.mark.parametrize("table", ["breakdown", "models", "days", "months"])
def test_each_table_has_its_csv(ada: Client, table: str) -> None:
    answer: Any = ada.get("/usage/", {"csv": table, "view": "detailed"})
    lines = b"".join(answer.streaming_content).decode().splitlines()

    assert answer["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["content-disposition"]
    assert len(lines) > 1
    assert "99" not in "".join(lines)


def test_a_csv_that_is_none_is_the_page(ada: Client) -> None:
    assert "<h1>Overview</h1>" in page(ada, csv="nonsense")


def test_the_live_card_tells_how_the_service_is_and_no_figures(ada: Client) -> None:
    answer = ada.get("/usage/health-card/")

    assert '<span class="badge unknown">Unknown</span>' in answer.content.decode()
    assert b"$" not in answer.content


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
    monkeypatch.setattr(health, "SNAPSHOT_SECONDS", 3600)  # a busy machine must not outlive the snapshot
    record(acme, NOW, *({"event_id": f"n{n}", "provider": f"p{n}", "category": "text"} for n in range(rows)))
    page(ada, view=view)
    with django_assert_num_queries(queries):
        page(ada)
