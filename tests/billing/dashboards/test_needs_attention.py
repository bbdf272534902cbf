"""What an operator should look at first: accounts near a limit as they stand now, subscriptions that end or are not paid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import accounts
from billing.alerts import alerts
from billing.dashboards import needs_attention
from billing.models import Account, Subscription
from billing.plans import subscriptions
from lib.money import NANO
from tests.billing.alerted import NOW
from tests.billing.caps import cap, override
from tests.billing.usage import record

pytestmark = pytest.mark.django_db


def used(external_id: str, usd: str) -> Account:
    """An account of the default plan's two dollars, with so much used and the sweep gone by."""
    account = accounts.new(external_id=external_id, at=NOW - timedelta(days=60))
    account.save(force_insert=True)
    record(account, NOW, {"cost_usd": usd, "occurred_at": NOW.isoformat()})
    alerts.sweep(NOW)
    return account


def near() -> list[tuple[str, str, Decimal]]:
    found = needs_attention.near_limit(NOW)
    return [(one.account.external_id, one.standing.limit.meter.slug, one.percent) for one in found]


def test_accounts_near_a_limit_the_nearest_first() -> None:
    cap({"monthly_cost": 2 * NANO})
    used("half", "1")
    used("near", "1.6")
    used("over", "2.5")

    assert near() == [("over", "monthly_cost", Decimal("125.00")), ("near", "monthly_cost", Decimal("80.00"))]


def test_a_raised_limit_takes_the_account_off_the_list() -> None:
    cap({"monthly_cost": 2 * NANO})
    account = used("over", "2.5")
    override(account, "monthly_cost", 100 * NANO)

    assert near() == []


def test_a_deactivated_account_is_not_told() -> None:
    cap({"monthly_cost": 2 * NANO})
    used("over", "2.5")
    Account.objects.update(active=False)

    assert near() == []


def test_only_a_few_accounts_are_measured(django_assert_max_num_queries: Any) -> None:
    cap({"monthly_cost": 2 * NANO})
    for number in range(needs_attention.ACCOUNTS + 2):
        used(f"a{number}", "2.5")

    # The alerts; of each account its use, the plans' version, and its own limits and subscription where they are not in memory.
    with django_assert_max_num_queries(1 + 4 * needs_attention.ACCOUNTS):
        assert len(near()) == needs_attention.ACCOUNTS


def test_without_alerts_it_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        assert near() == []


def subscribed(external_id: str, **changes: Any) -> None:
    account = accounts.new(external_id=external_id, at=NOW)
    account.save(force_insert=True)
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="test", at=NOW)
    Subscription.objects.filter(account=account).update(**changes)


def test_subscriptions_that_end_soon_or_are_not_paid() -> None:
    subscribed("goes-on")
    subscribed("ends", auto_renew=False, renews_at=NOW + timedelta(days=9))
    subscribed("ends-later", auto_renew=False, renews_at=NOW + timedelta(days=15))
    subscribed("unpaid", status=Subscription.Status.PAST_DUE, renews_at=NOW + timedelta(days=10))
    subscribed("stopped", status=Subscription.Status.SUSPENDED, renews_at=NOW - timedelta(days=10))
    subscribed("gone", status=Subscription.Status.CANCELLED, auto_renew=False, renews_at=NOW)

    assert [one.account.external_id for one in needs_attention.subscriptions(NOW)] == ["stopped", "ends", "unpaid"]
