"""Plans with soft limits, and billing anchors of accounts, for tests of subscriptions and statements."""

from __future__ import annotations

from datetime import date

from billing.models import Account, Meter, Plan, PlanLimit
from billing.plans import plans
from lib.money import NANO
from tests.frozen_clock import utc


def create_soft_plan(slug: str, included_usd: int, monthly_usd: int = 10) -> Plan:
    """A plan that charges for usage above its included monthly cost."""
    plan = Plan(
        slug=slug,
        name=slug.title(),
        price_monthly_nano=monthly_usd * NANO,
        price_yearly_nano=monthly_usd * 10 * NANO,
    )
    limit = PlanLimit(meter=Meter.objects.get(slug="monthly_cost"), amount=included_usd * NANO, hard=False)
    return plans.supersede(plan=plan, limits=[limit], at=utc("2026-01-01"))


def set_billing_anchor(
    account: Account, anchor_day: int = 1, timezone: str = "UTC", billed_from: str = "2026-01-01"
) -> Account:
    account.anchor_day, account.timezone = anchor_day, timezone
    account.billed_from = date.fromisoformat(billed_from)
    account.save(update_fields=["anchor_day", "timezone", "billed_from"])
    return account
