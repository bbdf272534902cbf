"""What needs an operator's attention: accounts near a limit, subscriptions that are unpaid or end soon, unread fields.

Every account near a limit has an alert, so only accounts of recent alerts are measured: the cost does not grow with the
number of accounts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q, QuerySet

from billing.limits import limits
from billing.limits.decisions import LimitStatus
from billing.models import Account, Subscription, UnreadField, UsageAlert
from billing.plans import meters
from lib.percent import percentage

MAX_ALERTS = 200
MAX_ACCOUNTS = 5
MAX_SUBSCRIPTIONS = 5
MAX_FIELDS = 5
ENDING_WITHIN = timedelta(days=14)
Status = Subscription.Status


class NearLimit(NamedTuple):
    """An account and its fullest limit."""

    account: Account
    status: LimitStatus
    percent: Decimal

    @property
    def tone(self) -> str:
        return meters.usage_tone(self.percent)


def near_limit(at: datetime) -> list[NearLimit]:
    """Accounts of recent alerts that are near a limit now, fullest first."""
    alerts = UsageAlert.objects.filter(threshold__gte=meters.NEAR_PERCENT).select_related("account").order_by("-id")
    accounts = {alert.account_id: alert.account for alert in alerts[:MAX_ALERTS] if alert.account.active}
    fullest = [(account, _fullest_limit(account, at)) for account in list(accounts.values())[:MAX_ACCOUNTS]]
    near = [NearLimit(account, *limit) for account, limit in fullest if limit and limit[1] >= meters.NEAR_PERCENT]
    return sorted(near, key=lambda row: (-row.percent, row.account.external_id))


def _fullest_limit(account: Account, at: datetime) -> tuple[LimitStatus, Decimal] | None:
    percents = [(status, percentage(status.used, status.limit.amount or 0)) for status in limits.statuses(account, at)]
    limited = [(status, percent) for status, percent in percents if percent is not None]
    return max(limited, key=lambda pair: pair[1], default=None)


def subscriptions(at: datetime) -> QuerySet[Subscription]:
    """Unpaid subscriptions and those that end within ENDING_WITHIN, by renewal date."""
    unpaid = Q(status__in=(Status.PAST_DUE, Status.SUSPENDED))
    ending = Q(status=Status.ACTIVE, auto_renew=False, renews_at__lte=at + ENDING_WITHIN)
    pressing = (
        Subscription.objects.filter(unpaid | ending).select_related("account", "plan").order_by("renews_at", "pk")
    )
    return pressing[:MAX_SUBSCRIPTIONS]


def unread_fields() -> QuerySet[UnreadField]:
    """Fields of responses that nobody has decided on, the last seen first."""
    return UnreadField.objects.filter(state=UnreadField.State.OPEN).order_by("-last_at", "pk")[:MAX_FIELDS]
