"""`GET dashboard/`: all figures of the dashboard in one response, equal to those of the separate endpoints."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access, accounts
from billing.accounts.usage_periods import period_from
from billing.alerts import alerts
from billing.dashboards import dashboards
from billing.dashboards.dashboards import Projection
from billing.models import Account
from billing.plans import subscriptions
from billing.reports.reports import Budget
from lib.money import NANO
from lib.periods import CALENDAR_UTC
from tests.billing.usage import record
from tests.conftest import Api

NOVEMBER_11 = datetime(2026, 11, 11, 0, 0, tzinfo=UTC)  # after ten of thirty days
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOVEMBER_11)]
NOVEMBER = period_from(CALENDAR_UTC, date(2026, 11, 1))


@pytest.fixture
def account(db: None) -> Account:
    account = accounts.build(external_id="acct_42", at=NOVEMBER_11)
    account.save(force_insert=True)
    return account


def dashboard(api: Api, **query: str) -> dict[str, Any]:
    response = api.get("dashboard/", **query)
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def test_each_part_equals_its_own_endpoint(service: Api, account: Account) -> None:
    subscriptions.subscribe(account, plan="basic", cycle="yearly", actor="test", at=NOVEMBER_11)
    record(account, NOVEMBER_11, {"cost_usd": "24", "occurred_at": "2026-11-11T00:00:00Z"}, {"provider": "video"})
    alerts.sweep(NOVEMBER_11)
    body = dashboard(service, account="acct_42")
    subscription = service.get("accounts/acct_42/subscription/").json()

    assert body["summary"] == service.get("usage/summary/", account="acct_42").json()
    assert body["trends"] == service.get("usage/trends/", account="acct_42", months=6).json()
    assert body["days"] == service.get("usage/trends/", account="acct_42", days=11).json()
    assert body["limits"] == subscription.pop("limits")
    assert body["meters"] == subscription.pop("meters")
    assert body["subscription"] == subscription
    assert body["alerts"] == service.get("alerts/", account="acct_42", unread="true").json()["results"][:5]
    assert len(body["alerts"]) == 5
    assert body["as_of"] == "2026-11-11T00:00:00Z"


def test_the_projection_extrapolates_the_days_so_far(service: Api, account: Account) -> None:
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="test", at=NOVEMBER_11)  # 25 USD
    record(account, NOVEMBER_11, {"cost_usd": "10", "occurred_at": "2026-11-03T00:00:00Z"})

    assert dashboard(service, account="acct_42")["projection"] == {
        "cost_usd": "30",
        "percent": 120.0,
        "days_left": 15,
        "exhausted_on": "2026-11-26",
    }


def test_a_past_period_has_no_projection_and_shows_its_own_days(service: Api, account: Account) -> None:
    record(account, NOVEMBER_11, {"cost_usd": "1", "occurred_at": "2026-10-31T23:59:59Z"})
    body = dashboard(service, account="acct_42", period="2026-10")

    assert body["projection"] == dict.fromkeys(("cost_usd", "percent", "days_left", "exhausted_on"))
    assert (len(body["days"]["periods"]), body["days"]["calls"][-1]) == (31, 1)
    assert body["trends"]["periods"][-1] == "2026-11"


def test_the_platform_has_no_plan_and_no_limits(service: Api, account: Account) -> None:
    record(account, NOVEMBER_11, {"cost_usd": "1"})
    body = dashboard(service)

    assert (body["subscription"], body["limits"], body["meters"]) == (None, {}, [])
    assert body["summary"] == service.get("usage/summary/").json()
    assert body["projection"] == {"cost_usd": "3", "percent": None, "days_left": None, "exhausted_on": None}


@pytest.mark.parametrize(
    ("limit", "used", "at", "expected"),
    [
        (None, 10, NOVEMBER_11, Projection(30 * NANO)),
        (100, 0, NOVEMBER_11, Projection(0, Decimal("0.00"))),
        (100, 10, NOVEMBER_11, Projection(30 * NANO, Decimal("30.00"), 90, None)),
        (30, 10, NOVEMBER_11, Projection(30 * NANO, Decimal("100.00"), 20, None)),  # just enough for the period
        (29, 10, NOVEMBER_11, Projection(30 * NANO, Decimal("103.45"), 19, date(2026, 11, 30))),
        (10, 10, NOVEMBER_11, Projection(30 * NANO, Decimal("300.00"), 0, date(2026, 11, 11))),
        (5, 10, NOVEMBER_11, Projection(30 * NANO, Decimal("600.00"), 0, date(2026, 11, 11))),
        (0, 10, NOVEMBER_11, Projection(30 * NANO, None, 0, date(2026, 11, 11))),
        (100, 10, datetime(2026, 11, 1, 23, 59, 59, tzinfo=UTC), Projection()),
        (100, 10, datetime(2026, 12, 1, tzinfo=UTC), Projection()),
    ],
)
def test_projections(limit: int | None, used: int, at: datetime, expected: Projection) -> None:
    budget = Budget(None if limit is None else limit * NANO, used * NANO, 0)
    assert dashboards.projection(budget, NOVEMBER, CALENDAR_UTC, at) == expected


@pytest.mark.parametrize("rows", [1, 60])
def test_the_number_of_queries_is_fixed(
    service: Api, account: Account, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    record(account, NOVEMBER_11, *({"provider": f"p{n}", "category": "text", "cost_usd": "0.01"} for n in range(rows)))
    access.record_key_use(service.key, at=NOVEMBER_11)
    dashboard(service, account="acct_42")
    # Key, account, limits, version of the labels, summary, late corrections, alerts, days of the previous period,
    # two trends, version of the plans, subscription.
    with django_assert_num_queries(12):
        dashboard(service, account="acct_42")
