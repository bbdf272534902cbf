"""What an operator should look at first: accounts near a limit, and subscriptions that end or are not paid.

For the operators' first page. Bounded: the sweep has raised an alert for each account that is near a limit, so the newest
alerts name the accounts, and only these few are measured.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q, QuerySet

from billing.limits import limits
from billing.limits.decisions import LimitStatus
from billing.models import Account, Subscription, UsageAlert
from lib.percent import percentage

NEAR = 80  # per cent of a limit
LOOKED_AT = 200  # of the newest alerts
ACCOUNTS = 5  # that are measured
AHEAD = timedelta(days=14)
Status = Subscription.Status


class Near(NamedTuple):
    """An account, and the limit of which it has used the most."""

    account: Account
    standing: LimitStatus
    percent: Decimal


def near_limit(at: datetime) -> list[Near]:
    """The accounts that a recent alert was about and that are near a limit now, the nearest first."""
    newest = UsageAlert.objects.filter(threshold__gte=NEAR).select_related("account").order_by("-id")[:LOOKED_AT]
    accounts = list({alert.account_id: alert.account for alert in newest if alert.account.active}.values())[:ACCOUNTS]
    found = [(account, _nearest(account, at)) for account in accounts]
    near = [Near(account, *nearest) for account, nearest in found if nearest and nearest[1] >= NEAR]
    return sorted(near, key=lambda one: (-one.percent, one.account.external_id))


def _nearest(account: Account, at: datetime) -> tuple[LimitStatus, Decimal] | None:
    parts = [(one, percentage(one.used, one.limit.amount)) for one in limits.standing(account, at) if one.limit.amount]
    return max(((one, part) for one, part in parts if part is not None), key=lambda pair: pair[1], default=None)


def subscriptions(at: datetime) -> QuerySet[Subscription]:
    """Those that are not paid, and those that end soon; the most pressing first."""
    unpaid = Q(status__in=(Status.PAST_DUE, Status.SUSPENDED))
    ending = Q(status=Status.ACTIVE, auto_renew=False, renews_at__lte=at + AHEAD)
    return (
        Subscription.objects.filter(unpaid | ending).select_related("account", "plan").order_by("renews_at", "pk")[:5]
    )
