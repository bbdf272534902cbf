"""Limits for tests: the default plan with only the caps that a test is about, and where accounts stand."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.limits import limits
from billing.models import Account, LimitOverride, Meter, Per, Plan, PlanLimit
from billing.plans import plans

AT = datetime(2026, 1, 1, tzinfo=UTC)
Amounts = dict[str, int | None]


def cap(amounts: Amounts, *, per: str = Per.PERIOD, hard: bool = True) -> Plan:
    """The next version of the default plan, with these caps and no others. A cost is nano-USD."""
    meters = {meter.slug: meter for meter in Meter.objects.filter(slug__in=amounts)}
    rows = [PlanLimit(meter=meters[slug], per=per, amount=amount, hard=hard) for slug, amount in amounts.items()]
    return plans.supersede(plan=Plan(slug="free", name="Free"), limits=rows, at=AT)


def override(account: Account, meter: str, amount: int | None, *, per: str = Per.PERIOD) -> LimitOverride:
    row = LimitOverride.objects.create(
        account=account, meter=Meter.objects.get(slug=meter), per=per, amount=amount, reason="tested"
    )
    plans.configuration_changed(account)
    return row


def standing(account: Account, at: datetime, meter: str) -> tuple[int, int]:
    """What an account used and holds in a period, by one meter."""
    account.refresh_from_db()
    found = {one.limit.key: one for one in limits.standing(account, at)}[meter, Per.PERIOD]
    return found.used, found.reserved
