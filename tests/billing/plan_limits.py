"""Limits for tests: a default plan with only the limits under test, overrides, and usage against a limit."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.limits import limits
from billing.models import Account, LimitOverride, Meter, Per, Plan, PlanLimit
from billing.plans import plans

PLAN_START = datetime(2026, 1, 1, tzinfo=UTC)
Amounts = dict[str, int | None]


def set_limits(amounts: Amounts, *, per: str = Per.PERIOD, hard: bool = True) -> Plan:
    """Creates the next version of the default plan, with exactly these limits. Cost limits are in nano-USD."""
    meters = {meter.slug: meter for meter in Meter.objects.filter(slug__in=amounts)}
    rows = [PlanLimit(meter=meters[slug], per=per, amount=amount, hard=hard) for slug, amount in amounts.items()]
    return plans.supersede(plan=Plan(slug="free", name="Free"), limits=rows, at=PLAN_START)


def override_limit(account: Account, meter: str, amount: int | None, *, per: str = Per.PERIOD) -> LimitOverride:
    limit_override = LimitOverride.objects.create(
        account=account, meter=Meter.objects.get(slug=meter), per=per, amount=amount, reason="tested"
    )
    plans.bump_config_version(account)
    return limit_override


def used_and_reserved(account: Account, at: datetime, meter: str) -> tuple[int, int]:
    """Used and reserved quantity of one meter in the usage period of `at`. Costs are in nano-USD."""
    account.refresh_from_db()
    status = {status.limit.key: status for status in limits.statuses(account, at)}[meter, Per.PERIOD]
    return status.used, status.reserved
