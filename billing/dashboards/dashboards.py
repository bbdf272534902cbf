"""All that one page shows of an account, or of the platform, at one moment. For the API's `dashboard/` and the pages.

Arranges what reports, trends, limits and alerts read; it reads nothing twice. Money is nano-USD.
"""

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
from billing.reports.reports import Budget, Pace, Summary
from billing.reports.trends import Trend
from lib import periods
from lib.percent import percentage
from providers import rulebook

MONTHS = 6
NEWEST_ALERTS = 5
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Projection:
    """Where a running period ends if it goes on like this; nothing where it is over, or younger than a day."""

    cost_nano: int | None = None
    percent: Decimal | None = None  # of the cap
    days_left: int | None = None  # whole days until the cap is used up; None without a cap or without a cost
    exhausted_on: date | None = None  # the local day of that, where it lies in the period


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One account's usage period, or the platform's month: then nobody has a plan, and no limit stands."""

    account: Account | None
    as_of: datetime
    summary: Summary
    pace: Pace
    projection: Projection
    months: Trend
    days: Trend
    alerts: list[UsageAlert]  # the newest unread ones
    plan: Plan | None
    subscription: Subscription | None
    standings: list[LimitStatus]

    @property
    def period(self) -> Period:
        return self.summary.period


def of(account: Account | None, period: Period, at: datetime) -> Dashboard:
    """Limits and alerts are those of this moment, whatever period the figures are of."""
    standings, labels = limits.standing(account, at) if account else [], rulebook.current().labels
    summary = reports.summary(account, period, at, standings=standings, labels=labels)
    unread, _ = alerts.page(account, unread=True, size=NEWEST_ALERTS)
    return Dashboard(
        account=account,
        as_of=at,
        summary=summary,
        pace=reports.pace(summary, at),
        projection=projection(summary.budget, period, usage_periods.schedule_of(account), at),
        months=trends.by_month(account, MONTHS, at, labels),
        days=trends.of_period(account, period, at, labels),
        alerts=unread,
        plan=plans.of_account(account, at) if account else None,
        subscription=subscriptions.of(account) if account else None,
        standings=standings,
    )


def projection(budget: Budget, period: Period, schedule: periods.Schedule, at: datetime) -> Projection:
    """By the period's own days: what was used so far, over the time so far."""
    cost = reports.at_this_rate(budget.used_nano, period, at)
    if cost is None or budget.limit_nano is None:
        return Projection(cost)
    percent = percentage(cost, budget.limit_nano)
    left = max(budget.limit_nano - budget.used_nano, 0)
    if not budget.used_nano:
        return Projection(cost, percent)
    seconds = left * ((at - period.starts_at) // reports.SECOND) // budget.used_nano
    lasts = seconds >= (period.ends_at - at) // reports.SECOND
    on = None if lasts else periods.local_day(schedule, at + timedelta(seconds=seconds))
    return Projection(cost, percent, seconds // DAY_SECONDS, on)
