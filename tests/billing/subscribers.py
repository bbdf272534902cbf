"""Plans and accounts for tests of subscriptions and statements: prices that divide badly, and limits that are soft."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.models import Account, Meter, Plan, PlanLimit
from billing.plans import plans
from lib.money import NANO


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def soft_plan(slug: str, included_usd: int, monthly_usd: int = 10) -> Plan:
    """A plan that charges what is used above its monthly cost."""
    plan = Plan(
        slug=slug,
        name=slug.title(),
        price_monthly_nano=monthly_usd * NANO,
        price_yearly_nano=monthly_usd * 10 * NANO,
    )
    limit = PlanLimit(meter=Meter.objects.get(slug="monthly_cost"), amount=included_usd * NANO, hard=False)
    return plans.supersede(plan=plan, limits=[limit], at=at("2026-01-01"))


def on(account: Account, anchor_day: int = 1, timezone: str = "UTC", billed_from: str = "2026-01-01") -> Account:
    account.anchor_day, account.timezone = anchor_day, timezone
    account.billed_from = datetime.fromisoformat(billed_from).date()
    account.save(update_fields=["anchor_day", "timezone", "billed_from"])
    return account
