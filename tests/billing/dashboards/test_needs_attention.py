"""What an operator should look at first: accounts near a limit, and subscriptions that end soon or are unpaid."""

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
from tests.billing.alert_rows import NOON
from tests.billing.plan_limits import override_limit, set_limits
from tests.billing.usage import record

pytestmark = pytest.mark.django_db


def create_account_with_usage(external_id: str, usd: str) -> Account:
    """Creates an account, records usage of this cost, and sweeps for alerts."""
    account = accounts.build(external_id=external_id, at=NOON - timedelta(days=60))
    account.save(force_insert=True)
    record(account, NOON, {"cost_usd": usd, "occurred_at": NOON.isoformat()})
    alerts.sweep(NOON)
    return account


def accounts_near_limit() -> list[tuple[str, str, Decimal]]:
    rows = needs_attention.near_limit(NOON)
    return [(row.account.external_id, row.status.limit.meter.slug, row.percent) for row in rows]


def test_accounts_near_a_limit_are_listed_highest_use_first() -> None:
    set_limits({"monthly_cost": 2 * NANO})
    create_account_with_usage("half", "1")
    create_account_with_usage("near", "1.6")
    create_account_with_usage("over", "2.5")

    assert accounts_near_limit() == [
        ("over", "monthly_cost", Decimal("125.00")),
        ("near", "monthly_cost", Decimal("80.00")),
    ]


def test_a_raised_limit_removes_the_account_from_the_list() -> None:
    set_limits({"monthly_cost": 2 * NANO})
    account = create_account_with_usage("over", "2.5")
    override_limit(account, "monthly_cost", 100 * NANO)

    assert accounts_near_limit() == []


def test_a_deactivated_account_is_not_listed() -> None:
    set_limits({"monthly_cost": 2 * NANO})
    create_account_with_usage("over", "2.5")
    Account.objects.update(active=False)

    assert accounts_near_limit() == []


def test_at_most_max_accounts_are_measured(django_assert_max_num_queries: Any) -> None:
    set_limits({"monthly_cost": 2 * NANO})
    for number in range(needs_attention.MAX_ACCOUNTS + 2):
        create_account_with_usage(f"a{number}", "2.5")

    # One for the alerts; per account its usage, the version of the plans, and its overrides and subscription if not cached.
    with django_assert_max_num_queries(1 + 4 * needs_attention.MAX_ACCOUNTS):
        assert len(accounts_near_limit()) == needs_attention.MAX_ACCOUNTS


def test_without_alerts_there_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        assert accounts_near_limit() == []


def create_subscription(external_id: str, **changes: Any) -> None:
    account = accounts.build(external_id=external_id, at=NOON)
    account.save(force_insert=True)
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="test", at=NOON)
    Subscription.objects.filter(account=account).update(**changes)


def test_subscriptions_that_end_soon_or_are_unpaid_are_listed() -> None:
    create_subscription("goes-on")
    create_subscription("ends", auto_renew=False, renews_at=NOON + timedelta(days=9))
    create_subscription("ends-later", auto_renew=False, renews_at=NOON + timedelta(days=15))
    create_subscription("unpaid", status=Subscription.Status.PAST_DUE, renews_at=NOON + timedelta(days=10))
    create_subscription("stopped", status=Subscription.Status.SUSPENDED, renews_at=NOON - timedelta(days=10))
    create_subscription("gone", status=Subscription.Status.CANCELLED, auto_renew=False, renews_at=NOON)

    rows = needs_attention.subscriptions(NOON)
    assert [row.account.external_id for row in rows] == ["stopped", "ends", "unpaid"]
