"""Which plan an account has subscribed to right now, cached until its configuration changes.

Every limit decision reads this. It compares the cycle's end with the clock, so an ended cycle counts before any job runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from billing.accounts.accounts import AccountRow
from billing.models import Account, Subscription

MAX_CACHED_ACCOUNTS = 10_000
Status = Subscription.Status


class CachedSubscription(NamedTuple):
    """The columns of a subscription that decisions need."""

    plan_id: int
    status: str
    renews_at: datetime
    auto_renew: bool
    pending_plan_id: int | None
    grace_until: datetime | None


_cache: dict[
    int, tuple[int, CachedSubscription | None]
] = {}  # account id -> its config_version, and its subscription then


def plan_id(account: Account | AccountRow, at: datetime) -> int | None:
    """The id of the subscribed plan; None where the account has the default plan."""
    subscription = _load(account)
    if subscription is None or subscription.status == Status.CANCELLED:
        return None
    if at < subscription.renews_at or subscription.status == Status.SUSPENDED:
        return subscription.plan_id
    return (subscription.pending_plan_id or subscription.plan_id) if subscription.auto_renew else None


def inactive_reason(account: Account, at: datetime) -> str | None:
    """Why the subscription refuses all calls; None where it does not."""
    subscription = _load(account)
    if subscription is None:
        return None
    if subscription.status == Status.SUSPENDED:
        return "The subscription is suspended until its overdue statements are paid."
    if subscription.status == Status.PAST_DUE and subscription.grace_until and at >= subscription.grace_until:
        return "The subscription is past due, and its grace period is over."
    return None


def _load(account: Account | AccountRow) -> CachedSubscription | None:
    version, subscription = _cache.get(account.pk, (0, None))
    if version == account.config_version:
        return subscription
    rows = Subscription.objects.filter(account_id=account.pk).order_by().values_list(*CachedSubscription._fields)
    row = rows.first()
    subscription = CachedSubscription._make(row) if row else None
    if len(_cache) >= MAX_CACHED_ACCOUNTS:
        _cache.clear()
    _cache[account.pk] = (account.config_version, subscription)
    return subscription


def invalidate(account: Account) -> None:
    """Drop the account's cached subscription in this process. Needed in the transaction of every change to it."""
    _cache.pop(account.pk, None)
