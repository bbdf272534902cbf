"""What an account has subscribed to at this moment, from memory as long as its configuration is the same.

Asked for every decision about a limit. It looks at the clock, so that a cycle's end counts before any job has run.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from billing.accounts.accounts import Known
from billing.models import Account, Subscription

MOST_ACCOUNTS = 10_000  # whose subscriptions are held in memory
Status = Subscription.Status


class Held(NamedTuple):
    """What matters of a subscription's row."""

    plan_id: int
    status: str
    renews_at: datetime
    auto_renew: bool
    pending_plan_id: int | None
    grace_until: datetime | None


_held: dict[int, tuple[int, Held | None]] = {}  # account -> its config_version, and its subscription then


def plan_id(account: Account | Known, at: datetime) -> int | None:
    """The plan that the account has subscribed to, None where it has the default one."""
    one = _subscription(account)
    if one is None or one.status == Status.CANCELLED:
        return None
    if at < one.renews_at or one.status == Status.SUSPENDED:
        return one.plan_id
    return (one.pending_plan_id or one.plan_id) if one.auto_renew else None


def inactive(account: Account, at: datetime) -> str | None:
    """Why nothing may run for this account, in words; None where it may."""
    one = _subscription(account)
    if one and one.status == Status.SUSPENDED:
        return "The subscription is suspended until its statements are paid."
    if one and one.status == Status.PAST_DUE and one.grace_until and at >= one.grace_until:
        return "The subscription is past due, and its grace is over."
    return None


def _subscription(account: Account | Known) -> Held | None:
    version, one = _held.get(account.pk, (0, None))
    if version == account.config_version:
        return one
    row = Subscription.objects.filter(account_id=account.pk).order_by().values_list(*Held._fields).first()
    one = Held._make(row) if row else None
    if len(_held) >= MOST_ACCOUNTS:
        _held.clear()
    _held[account.pk] = (account.config_version, one)
    return one


def forget(account: Account) -> None:
    """This process must not keep what it knows to be old: called in the transaction of a change."""
    _held.pop(account.pk, None)
