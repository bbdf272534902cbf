"""Which usage periods are closed, and closing one. Asked by whatever corrects the ledger, and by the job that closes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from functools import partial

from django.db import transaction

from billing.accounts import accounts
from billing.models import Account, Archive, ClosedPeriod
from lib import periods, retry


def close(account: Account, period: date, at: datetime) -> bool:
    """Close the period that starts on the local date `period`; False where it is closed already.

    Waits for corrections of the account that are under way, and later ones see it: they leave its figures as they are.
    """
    return retry.on_deadlock(partial(_close, account, period, at))


def closed(account_id: int) -> frozenset[date]:
    """The start dates of the account's closed periods; the caller holds the account's lock, so that they stay so."""
    return frozenset(ClosedPeriod.objects.filter(account_id=account_id).values_list("period", flat=True))


def sealed(account_id: int) -> frozenset[date]:
    """The starts of the account's periods that are archived or about to be; the caller holds the account's lock."""
    return frozenset(Archive.objects.filter(account_id=account_id).values_list("period", flat=True))


def open_period(account: Account, closed: Collection[date], at: datetime) -> date:
    """The period in which corrections of closed ones count: the one that runs `at`, or the first after it that is open."""
    period = periods.start_of(account.schedule, periods.local_day(account.schedule, at))
    while period in closed:
        period = periods.next_start(account.schedule, period)
    return period


@transaction.atomic
def _close(account: Account, period: date, at: datetime) -> bool:
    accounts.lock(account.pk)
    if ClosedPeriod.objects.filter(account=account, period=period).exists():
        return False
    ClosedPeriod.objects.create(account=account, period=period, closed_at=at)
    return True
