"""`GET usage/trends/`: months or days without gaps, oldest first, by provider; the last month equals the summary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.accounts import accounts
from billing.models import Account
from billing.plans import anchor_changes
from tests.billing.usage import record
from tests.conftest import Api

MARCH_31 = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # 1 April in Berlin
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(MARCH_31)]


def record_at(account: Account, *times: str) -> None:
    call = {"cost_usd": "1", "usage": {"input_tokens": 10}}
    record(account, MARCH_31, *({**call, "occurred_at": time} for time in times))


def trends(api: Api, **query: Any) -> dict[str, Any]:
    response = api.get("usage/trends/", **query)
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


@pytest.fixture
def account(db: None) -> Account:
    account = accounts.build(external_id="acct_42", at=MARCH_31)  # earlier calls count in their own period
    account.save(force_insert=True)
    return account


def test_months_follow_the_calendar_and_include_february(service: Api, account: Account) -> None:
    record_at(account, "2026-01-31T23:59:59Z", "2026-02-28T12:00:00Z", "2026-03-31T00:00:00Z", "2026-03-30T00:00:00Z")

    assert trends(service, account="acct_42", months="4") == {
        "account": "acct_42",
        "unit": "month",
        "periods": ["2025-12", "2026-01", "2026-02", "2026-03"],
        "calls": [0, 1, 1, 2],
        "tokens": [0, 10, 10, 20],
        "cost_usd": ["0", "1", "1", "2"],
        "providers": {
            "openai": {
                "label": "OpenAI",
                "calls": [0, 1, 1, 2],
                "tokens": [0, 10, 10, 20],
                "cost_usd": ["0", "1", "1", "2"],
            }
        },
    }


def test_an_anchor_on_the_31st_gives_one_period_per_month(service: Api, account: Account) -> None:
    Account.objects.update(anchor_day=31)
    record_at(account, "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z")
    trend = trends(service, account="acct_42", months="4")

    assert (trend["periods"], trend["calls"]) == (["2025-12", "2026-01", "2026-02", "2026-03"], [1, 2, 1, 0])


def test_days_are_local_across_a_clock_change(service: Api) -> None:
    account = accounts.build(external_id="berlin", at=MARCH_31, timezone="Europe/Berlin")
    account.save(force_insert=True)
    record_at(account, "2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-31T22:00:00Z")
    trend = trends(service, account="berlin", days="5")

    assert trend["unit"] == "day"
    assert trend["periods"] == ["2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]
    assert trend["calls"] == [1, 2, 0, 0, 1]


@pytest.mark.parametrize("months", ["1", "6", "36"])
def test_the_last_month_equals_the_summary(service: Api, account: Account, months: str) -> None:
    Account.objects.update(anchor_day=15, timezone="America/Los_Angeles")
    record_at(account, "2026-03-15T06:59:59Z", "2026-03-15T07:00:00Z", "2026-03-31T22:00:00Z")
    trend = trends(service, account="acct_42", months=months)
    summary = service.get("usage/summary/", account="acct_42").json()

    assert len(trend["periods"]) == int(months)
    assert (trend["periods"][-1], trend["cost_usd"][-1]) == (summary["period"], summary["total_cost_usd"])
    assert (trend["calls"][-1], trend["tokens"][-1]) == (summary["total_calls"], summary["total_tokens"])


def test_a_changed_schedule_still_gives_one_period_per_month(service: Api, account: Account) -> None:
    anchor_changes.change(account, anchor_day=15, timezone="UTC", at=datetime(2026, 1, 20, tzinfo=UTC))
    account.refresh_from_db()
    record_at(account, "2026-01-20T00:00:00Z", "2026-02-14T00:00:00Z", "2026-02-15T00:00:00Z")
    trend = trends(service, account="acct_42", months="4")

    assert (trend["periods"], trend["calls"]) == (["2025-12", "2026-01", "2026-02", "2026-03"], [0, 2, 1, 0])


def test_providers_add_up_on_each_day_and_the_most_expensive_comes_first(service: Api, account: Account) -> None:
    record(
        account,
        MARCH_31,
        {"provider": "openai", "cost_usd": "0.000000001", "occurred_at": "2026-03-31T00:00:00Z"},
        {"provider": "anthropic", "cost_usd": "2.5", "occurred_at": "2026-03-30T00:00:00Z"},
        {"provider": "openai", "cost_usd": "0.333333333", "occurred_at": "2026-03-30T00:00:00Z"},
    )
    trend = trends(service, account="acct_42", days="2")

    assert trend["cost_usd"] == ["2.833333333", "0.000000001"]
    assert [(slug, provider["cost_usd"]) for slug, provider in trend["providers"].items()] == [
        ("anthropic", ["2.5", "0"]),
        ("openai", ["0.333333333", "0.000000001"]),
    ]


def test_the_platform_is_shown_by_utc_months(service: Api, account: Account) -> None:
    other = accounts.build(external_id="tokyo", at=MARCH_31, timezone="Asia/Tokyo")
    other.save(force_insert=True)
    record_at(account, "2026-03-01T00:00:00Z")
    record_at(other, "2026-02-28T15:00:00Z")  # March in Tokyo
    trend = trends(service, months="2")

    assert (trend["account"], trend["periods"], trend["calls"]) == (None, ["2026-02", "2026-03"], [1, 1])


def test_six_months_are_the_default(bound: Api) -> None:
    trend = trends(bound)
    assert (len(trend["periods"]), trend["providers"]) == (6, {})


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ({"months": "0"}, "months"),
        ({"months": "37"}, "months"),
        ({"months": "-1"}, "months"),
        ({"months": "\uff11"}, "months"),
        ({"days": "367"}, "days"),
        ({"days": "1.5"}, "days"),
        ({"days": "9999999999"}, "days"),
        ({"days": "2", "months": "2"}, "days"),
    ],
)
def test_an_invalid_number_of_months_or_days_is_refused(bound: Api, query: dict[str, str], attr: str) -> None:
    response = bound.get("usage/trends/", **query)
    assert (response.status_code, response.json()["errors"][0]["attr"]) == (422, attr)


def test_another_account_is_404(bound: Api, db: None) -> None:
    accounts.build(external_id="other", at=MARCH_31).save(force_insert=True)
    assert bound.get("usage/trends/", account="other").status_code == 404
    assert bound.get("dashboard/", account="other").status_code == 404


def test_the_scope_read_is_required(account: Account) -> None:
    api = Api("ingest", account=account)
    assert api.get("usage/trends/").status_code == 403
    assert api.get("dashboard/").status_code == 403
