"""All data of one dashboard, of an account or of the platform: usage, trends, limits and alerts. Money is nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.alerts import alerts
from billing.limits import limits
from billing.limits.decisions import LimitStatus
from billing.models import Account, Subscription, UsageAlert
from billing.plans import plans, subscriptions
from billing.plans.plans import Plan
from billing.reports import reports, trends
from billing.reports.reports import Budget, PeriodComparison, Summary
from billing.reports.trends import Trend
from lib import periods
from lib.percent import percentage
from providers import rulebook

DEFAULT_MONTHS = 6
MAX_ALERTS = 5
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Projection:
    """Cost at the end of the current period at its rate so far; all None if it is over or younger than a day."""

    cost_nano: int | None = None
    percent: Decimal | None = None  # of the cap
    days_left: int | None = None  # whole days until the cap is used up; None without a cap or cost
    exhausted_on: date | None = None  # local day; None if the cap lasts until the end of the period


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One account's usage period, or (account None) the platform's month, without plan and limits."""

    account: Account | None
    as_of: datetime
    summary: Summary
    pace: PeriodComparison
    projection: Projection
    months: Trend
    days: Trend
    alerts: list[UsageAlert]  # newest unread
    plan: Plan | None
    subscription: Subscription | None
    limit_statuses: list[LimitStatus]

    @property
    def period(self) -> Period:
        return self.summary.period


def load(account: Account | None, period: Period, at: datetime) -> Dashboard:
    """Loads the dashboard. Limits and alerts are the current ones, whatever the period of the figures."""
    limit_statuses, labels = limits.statuses(account, at) if account else [], rulebook.current().labels
    summary = reports.summary(account, period, at, statuses=limit_statuses, labels=labels)
    unread, _ = alerts.list_page(account, unread=True, size=MAX_ALERTS)
    return Dashboard(
        account=account,
        as_of=at,
        summary=summary,
        pace=reports.compare_periods(summary, at),
        projection=projection(summary.budget, period, usage_periods.schedule_of(account), at),
        months=trends.by_month(account, DEFAULT_MONTHS, at, labels),
        days=trends.for_period(account, period, at, labels),
        alerts=unread,
        plan=plans.for_account(account, at) if account else None,
        subscription=subscriptions.for_account(account) if account else None,
        limit_statuses=limit_statuses,
    )


def projection(budget: Budget, period: Period, schedule: periods.Schedule, at: datetime) -> Projection:
    """Extrapolates linearly from the part of the period that has passed."""
    cost = reports.projected_cost_nano(budget.used_nano, period, at)
    if cost is None or budget.limit_nano is None:
        return Projection(cost)
    percent = percentage(cost, budget.limit_nano)
    left = max(budget.limit_nano - budget.used_nano, 0)
    if not budget.used_nano:
        return Projection(cost, percent)
    seconds = left * ((at - period.starts_at) // reports.SECOND) // budget.used_nano
    lasts_until_end = seconds >= (period.ends_at - at) // reports.SECOND
    exhausted_on = None if lasts_until_end else periods.local_day(schedule, at + timedelta(seconds=seconds))
    return Projection(cost, percent, seconds // DAY_SECONDS, exhausted_on)
