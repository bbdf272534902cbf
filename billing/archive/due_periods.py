"""Which usage periods are due to be archived: closed ones by the time of closing, imported history by its own age.

History is what lies before the first period that is ever closed, the one with `billed_from`. It has no statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter

from django.db.models import Exists, F, OuterRef, QuerySet

from billing.accounts import usage_periods
from billing.models import Account, Archive, ClosedPeriod, UsageLog, UsageModel
from lib import isolation, keyset, periods

MAX_PERIODS = 100  # per search, because a search reads all closed periods
PAGE_SIZE = 500  # accounts with history
DAY = timedelta(days=1)


def is_due(account: Account, period: date, before: datetime | None) -> bool:
    """Whether the period was closed, or as history ended, before this time; False for None, which archives nothing."""
    if before is None:
        return False
    closed = ClosedPeriod.objects.filter(account_id=account.pk, period=period).first()
    return closed.closed_at < before if closed else _is_old_history(account, period, before)


def find_unclaimed(before: datetime, problems: list[str]) -> list[tuple[int, date]]:
    """Due periods without an archive as (account id, start), oldest first, at most MAX_PERIODS.

    An account that fails is added to `problems`.
    """
    claimed = Archive.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    unclaimed = _closed(before).exclude(Exists(claimed)).order_by("period", "account_id")
    due = list(unclaimed.values_list("account_id", "period")[:MAX_PERIODS])
    history = _history(before, UsageModel.objects.exclude(Exists(claimed)), problems)
    while len(due) < MAX_PERIODS and (item := next(history, None)):
        due.append(item)
    return due


def count_logs(before: datetime) -> int:
    """The number of logs of due periods; those imported into the period of a finished archive stay."""
    archive = Archive.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("usage_period"))
    closed = _closed(before).filter(account_id=OuterRef("account_id"), period=OuterRef("usage_period"))
    logs = UsageLog.objects.exclude(Exists(archive.exclude(finished_at=None))).order_by()
    finished = Archive.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    history = _history(before, UsageModel.objects.exclude(Exists(finished.exclude(finished_at=None))), [])
    by_account = ((account, [start for _, start in rows]) for account, rows in groupby(history, itemgetter(0)))
    return logs.filter(Exists(closed)).count() + sum(
        logs.filter(account_id=account, usage_period__in=starts).count() for account, starts in by_account
    )


def _closed(before: datetime) -> QuerySet[ClosedPeriod]:
    """Periods closed before this time that had calls; without a statement too, if all calls were voided."""
    used = UsageModel.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    return ClosedPeriod.objects.filter(Exists(used), closed_at__lt=before)


def _history(before: datetime, candidates: QuerySet[UsageModel], problems: list[str]) -> Iterator[tuple[int, date]]:
    """Periods of history among the candidates that ended before this time, by account and start."""
    closed = ClosedPeriod.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    used = candidates.exclude(Exists(closed)).filter(period__lt=F("account__billed_from"))
    used = used.filter(period__lt=before.date() + DAY)  # a day more, for any time zone
    with_history = Account.objects.filter(Exists(used.filter(account_id=OuterRef("pk"))))
    for accounts in keyset.iter_pages(with_history, size=PAGE_SIZE):
        page = {account.pk: account for account in accounts}
        rows = used.filter(account_id__in=page).order_by("account_id", "period")
        for account_id, group in groupby(rows.values_list("account_id", "period").distinct(), itemgetter(0)):
            work = partial(_old_history, page[account_id], [start for _, start in group], before)
            starts = isolation.attempt(work, name=page[account_id].external_id, problems=problems)
            yield from ((account_id, start) for start in starts or ())


def _old_history(account: Account, starts: list[date], before: datetime) -> list[date]:
    return [start for start in starts if _is_old_history(account, start, before)]


def _is_old_history(account: Account, start: date, before: datetime) -> bool:
    """Whether the period is history and ended before this time."""
    if start >= periods.period_start(account.schedule, account.billed_from):
        return False
    return usage_periods.period_from(account.schedule, start).ends_at < before
