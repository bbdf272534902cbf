"""Closed and archived usage periods of an account, by start date."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from django.db.models import Q

from billing.accounts import accounts
from billing.models import Account, Archive, ClosedPeriod
from lib import periods, retry


@retry.atomic
def close(account: Account, period: date, at: datetime) -> bool:
    """Close the period that starts on the local date `period`; return False if it is already closed.

    Waits for running corrections of the account; later corrections see the period as closed and leave its figures unchanged.
    """
    account = accounts.lock(account.pk)
    if ClosedPeriod.objects.filter(account=account, period=period).exists():
        return False
    ClosedPeriod.objects.create(account=account, period=period, closed_at=at)
    end = periods.next_period_start(account.schedule, period)
    earlier = Q(closed_before=None) | Q(closed_before__lt=end)
    Account.objects.filter(earlier, pk=account.pk).update(closed_before=end)
    return True


def closed_starts(account_id: int) -> frozenset[date]:
    """The start dates of the account's closed periods, stable while the caller holds the account's lock."""
    return frozenset(ClosedPeriod.objects.filter(account_id=account_id).values_list("period", flat=True))


def sealed_starts(account_id: int) -> frozenset[date]:
    """The start dates of periods that are being archived, stable while the caller holds the account's lock.

    Logs of a finished archive are gone; history imported into its period since then is like that of any other period.
    """
    return frozenset(Archive.objects.filter(account_id=account_id, finished_at=None).values_list("period", flat=True))


def first_open_period(account: Account, closed: Collection[date], at: datetime) -> date:
    """The start of the first open period from `at` on; corrections of closed periods count there."""
    period = periods.period_start(account.schedule, periods.local_day(account.schedule, at))
    while period in closed:
        period = periods.next_period_start(account.schedule, period)
    return period
