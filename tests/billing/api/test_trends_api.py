"""`GET usage/trends/`: months and days, oldest first, none missing, each with its providers; the last one is the summary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.accounts import accounts
from billing.models import Account
from billing.plans import anchor_changes
from tests.billing.usage import record
from tests.conftest import Api

NOW = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # the first of April in Berlin
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOW)]


def used(account: Account, *times: str) -> None:
    record(account, NOW, *({"occurred_at": when, "cost_usd": "1", "usage": {"input_tokens": 10}} for when in times))


def trends(api: Api, **query: Any) -> dict[str, Any]:
    answer = api.get("usage/trends/", **query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture
def account(db: None) -> Account:
    account = accounts.new(external_id="acct_42", at=NOW)  # what is older is history, and counts where it happened
    account.save(force_insert=True)
    return account


def test_months_are_calendar_arithmetic_and_february_is_one_of_them(service: Api, account: Account) -> None:
    used(account, "2026-01-31T23:59:59Z", "2026-02-28T12:00:00Z", "2026-03-31T00:00:00Z", "2026-03-30T00:00:00Z")

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


def test_an_anchor_on_the_31st_gives_a_period_a_month(service: Api, account: Account) -> None:
    Account.objects.update(anchor_day=31)
    used(account, "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z")
    shown = trends(service, account="acct_42", months="4")

    assert (shown["periods"], shown["calls"]) == (["2025-12", "2026-01", "2026-02", "2026-03"], [1, 2, 1, 0])


def test_days_are_local_and_of_both_lengths(service: Api) -> None:
    account = accounts.new(external_id="berlin", at=NOW, timezone="Europe/Berlin")
    account.save(force_insert=True)
    used(account, "2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-31T22:00:00Z")
    shown = trends(service, account="berlin", days="5")

    assert shown["unit"] == "day"
    assert shown["periods"] == ["2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]
    assert shown["calls"] == [1, 2, 0, 0, 1]


@pytest.mark.parametrize("months", ["1", "6", "36"])
def test_the_last_month_equals_the_summary(service: Api, account: Account, months: str) -> None:
    Account.objects.update(anchor_day=15, timezone="America/Los_Angeles")
    used(account, "2026-03-15T06:59:59Z", "2026-03-15T07:00:00Z", "2026-03-31T22:00:00Z")
    shown = trends(service, account="acct_42", months=months)
    summary = service.get("usage/summary/", account="acct_42").json()

    assert len(shown["periods"]) == int(months)
    assert (shown["periods"][-1], shown["cost_usd"][-1]) == (summary["period"], summary["total_cost_usd"])
    assert (shown["calls"][-1], shown["tokens"][-1]) == (summary["total_calls"], summary["total_tokens"])


def test_a_month_that_a_changed_schedule_left_out_is_not_made_up(service: Api, account: Account) -> None:
    anchor_changes.change(account, anchor_day=15, timezone="UTC", at=datetime(2026, 1, 20, tzinfo=UTC))
    account.refresh_from_db()
    used(account, "2026-01-20T00:00:00Z", "2026-02-14T00:00:00Z", "2026-02-15T00:00:00Z")
    shown = trends(service, account="acct_42", months="4")

    assert (shown["periods"], shown["calls"]) == (["2025-12", "2026-01", "2026-02", "2026-03"], [0, 2, 1, 0])


def test_providers_add_up_at_each_step_and_the_dearest_comes_first(service: Api, account: Account) -> None:
    record(
        account,
        NOW,
        {"provider": "openai", "cost_usd": "0.000000001", "occurred_at": "2026-03-31T00:00:00Z"},
        {"provider": "anthropic", "cost_usd": "2.5", "occurred_at": "2026-03-30T00:00:00Z"},
        {"provider": "openai", "cost_usd": "0.333333333", "occurred_at": "2026-03-30T00:00:00Z"},
    )
    shown = trends(service, account="acct_42", days="2")

    assert shown["cost_usd"] == ["2.833333333", "0.000000001"]
    assert [(slug, part["cost_usd"]) for slug, part in shown["providers"].items()] == [
        ("anthropic", ["2.5", "0"]),
        ("openai", ["0.333333333", "0.000000001"]),
    ]


def test_the_platform_is_told_by_utc_months(service: Api, account: Account) -> None:
    other = accounts.new(external_id="tokyo", at=NOW, timezone="Asia/Tokyo")
    other.save(force_insert=True)
    used(account, "2026-03-01T00:00:00Z")
    used(other, "2026-02-28T15:00:00Z")  # March in Tokyo
    shown = trends(service, months="2")

    assert (shown["account"], shown["periods"], shown["calls"]) == (None, ["2026-02", "2026-03"], [1, 1])


def test_six_months_where_nothing_is_asked_for(bound: Api) -> None:
    shown = trends(bound)
    assert (len(shown["periods"]), shown["providers"]) == (6, {})


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
def test_what_is_no_number_of_steps_is_refused(bound: Api, query: dict[str, str], attr: str) -> None:
    answer = bound.get("usage/trends/", **query)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (422, attr)


def test_another_account_does_not_exist(bound: Api, db: None) -> None:
    accounts.new(external_id="other", at=NOW).save(force_insert=True)
    assert bound.get("usage/trends/", account="other").status_code == 404
    assert bound.get("dashboard/", account="other").status_code == 404


def test_a_key_without_the_scope_is_refused(account: Account) -> None:
    api = Api("ingest", account=account)
    assert api.get("usage/trends/").status_code == 403
    assert api.get("dashboard/").status_code == 403
