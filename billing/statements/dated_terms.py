"""Which plan and which included usage an account had at each moment of a usage period.

Sources: subscription events, the versions of the default plan, and overrides of the monthly cost, ended ones too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings

from billing.accounts.usage_periods import Period
from billing.models import Account, EndedOverride, LimitOverride, Per, Subscription, SubscriptionEvent
from billing.plans import plans
from billing.plans.meters import MONTHLY_COST
from billing.plans.plans import BEGINNING, NO_PLAN, Plan
from lib import periods

LATEST = datetime(9999, 12, 31, tzinfo=UTC)


class DatedTerms(NamedTuple):
    """The plan's id, and the amount of a soft monthly cost limit in nano-USD, from `starts_at` to `ends_at`."""

    starts_at: datetime
    ends_at: datetime
    plan: int | None
    allowance_nano: int | None


class _Override(NamedTuple):
    """A monthly cost limit of the account in place of the plan's, half-open."""

    starts_at: datetime
    ends_at: datetime
    allowance_nano: int | None


class _PlanChange(NamedTuple):
    """From `at` on the account has the plan; None is the default plan."""

    at: datetime
    plan: Plan | None


def in_period(account: Account, period: Period, *, default_plan: str | None = None) -> list[DatedTerms]:
    """The account's terms in the period, oldest first; neighbours differ in plan or allowance.

    `default_plan` is the slug of the plan of accounts without a subscription, settings.DEFAULT_PLAN if omitted. Stable while
    the caller holds the account's lock and subscription changes due by now are applied.
    """
    defaults = plans.current().versions(settings.DEFAULT_PLAN if default_plan is None else default_plan)
    changes, overrides = _plan_changes(account, period), _overrides(account)
    bounds = [change.at for change in changes] + [plan.created_at for plan in defaults]
    bounds += [bound for override in overrides for bound in override[:2]]
    starts = sorted({period.starts_at, *(at for at in bounds if period.starts_at < at < period.ends_at)})
    parts: list[tuple[datetime, Plan, int | None]] = []
    for at in starts:
        plan = _plan_at(at, changes) or _version_at(at, defaults)
        allowance = _allowance(at, plan, overrides)
        start = parts.pop()[0] if parts and (parts[-1][1].slug, parts[-1][2]) == (plan.slug, allowance) else at
        parts.append((start, plan, allowance))
    ends = [*(part[0] for part in parts[1:]), period.ends_at]
    return [DatedTerms(start, end, plan.id or None, nano) for (start, plan, nano), end in zip(parts, ends, strict=True)]


def _plan_changes(account: Account, period: Period) -> list[_PlanChange]:
    """The last change until the period's start, and those in it, oldest first."""
    events = SubscriptionEvent.objects.filter(account_id=account.pk)
    columns = ("effective_at", "plan_id", "status")
    before = events.filter(effective_at__lte=period.starts_at).order_by("-effective_at", "-id")[:1]
    within = events.filter(effective_at__gt=period.starts_at, effective_at__lt=period.ends_at)
    rows = [*before.values_list(*columns), *within.order_by("effective_at", "id").values_list(*columns)]
    catalog = plans.current().plans
    return [
        _PlanChange(at, None if status == Subscription.Status.CANCELLED else catalog[plan]) for at, plan, status in rows
    ]


def _plan_at(at: datetime, changes: Iterable[_PlanChange]) -> Plan | None:
    plan = None
    for change in changes:
        if change.at <= at:
            plan = change.plan
    return plan


def _version_at(at: datetime, versions: Sequence[Plan]) -> Plan:
    """The newest version that existed; before any did, the oldest one."""
    existing = [plan for plan in versions if plan.created_at <= at] or versions[:1]
    return existing[-1] if existing else NO_PLAN


def _overrides(account: Account) -> list[_Override]:
    """Overrides of the monthly cost in order of their start; one without a start counts from the beginning."""
    columns = ("since", "expires_on", "amount", "hard")
    chosen = {"account_id": account.pk, "meter__slug": MONTHLY_COST, "per": Per.PERIOD}
    current = LimitOverride.objects.filter(**chosen).order_by().values_list(*columns)
    ended = EndedOverride.objects.filter(**chosen).order_by("until", "id").values_list(*columns, "until")
    overrides = []
    for since, expires_on, amount, hard, *until in (*ended, *current):
        expires_at = periods.first_instant(account.schedule, expires_on) if expires_on else LATEST
        overrides.append(_Override(since or BEGINNING, min(expires_at, *until, LATEST), None if hard else amount))
    return sorted(overrides, key=lambda override: override.starts_at)


def _allowance(at: datetime, plan: Plan, overrides: Iterable[_Override]) -> int | None:
    """The amount of the soft limit in force; None where the limit is hard or unlimited, or there is none."""
    in_force = [override.allowance_nano for override in overrides if override.starts_at <= at < override.ends_at]
    if in_force:
        return in_force[-1]
    limits = (limit for limit in plan.limits if limit.key == (MONTHLY_COST, Per.PERIOD))
    return next((limit.amount for limit in limits if not limit.hard), None)
