"""Alerts: a limit comes near, was passed, or will be at this rate. Raised by the job's sweep; read by the API and pages.

The sweep reads what the limits read, and only of accounts that may stand otherwise than at the sweep before: with logs or
adjustments since, or with another configuration. Recording usage does nothing for it. Every account is looked at once an
hour besides: for what leaves no such trace (rollups that were rebuilt, a transaction that outlasted OVERLAP).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet

from billing.accounts import usage_periods
from billing.alerts import deliveries
from billing.limits import decisions, limits
from billing.limits.decisions import LimitStatus, Window
from billing.models import Account, AlertSweepState, Per, UsageAdjustment, UsageAlert, UsageLog
from billing.models.alerts import PROJECTED
from billing.models.rollups import MOST_NANO
from billing.plans import plans, subscriptions
from billing.plans.meters import PER_DAY
from billing.reports import reports
from lib import ids, periods, retry

OVERLAP = timedelta(minutes=2)  # an id is made that long before its row is seen, at most
UNSEEN = timedelta(hours=1)
JUST_ENDED = timedelta(hours=1)  # so long a day that is over is looked at as well
MOST = 5_000  # accounts that a sweep takes for their configuration, and as many for not having been seen: some 20 s
PARTS = 500  # accounts at a time
INSTANT = timedelta(microseconds=1)


class Swept(NamedTuple):
    """How many accounts were looked at, and how many alerts that raised."""

    accounts: int
    alerts: int


def sweep(at: datetime) -> Swept:
    """Raise what is due, each alert once, however many sweep at once. Killed and run again, it ends in the same state."""
    own, version = ids.new_id(), plans.current().version
    due = sorted(_due(own, version))
    marks: list[AlertSweepState] = []
    raised = 0
    for start in range(0, len(due), PARTS):
        for account in Account.objects.filter(pk__in=due[start : start + PARTS], active=True).order_by("pk"):
            raised += retry.on_deadlock(lambda account=account: _look(account, at))  # type: ignore[misc]
            seen = {"config_version": account.config_version, "plans_version": version, "sweep": own}
            marks.append(AlertSweepState(account=account, **seen))
    _remember(marks)
    return Swept(len(marks), raised)


def page(
    account: Account | None, *, unread: bool | None, before: UUID | None = None, size: int
) -> tuple[list[UsageAlert], UUID | None]:
    """An account's alerts or everybody's, newest first, from `before` on; and from where the next page goes on."""
    found = of(account)
    if unread is not None:
        found = found.filter(read_at__isnull=unread)
    if before is not None:
        found = found.filter(id__lt=before)
    rows = list(found.select_related("account").order_by("-id")[: size + 1])
    return rows[:size], rows[size - 1].id if len(rows) > size else None


def find(account: Account | None, alert: UUID) -> UsageAlert | None:
    """The alert, where it is this account's; of any account for None."""
    return of(account).select_related("account").filter(pk=alert).first()


def of(account: Account | None) -> QuerySet[UsageAlert]:
    return UsageAlert.objects.all() if account is None else UsageAlert.objects.filter(account_id=account.pk)


def mark_read(found: QuerySet[UsageAlert], at: datetime) -> int:
    """Those that were not read yet are read from now on; how many."""
    return found.filter(read_at=None).update(read_at=at)


def _due(own: UUID, version: int) -> set[int]:
    """The accounts to look at."""
    last = AlertSweepState.objects.order_by("-sweep").values_list("sweep", flat=True).first()
    same = {"config_version": F("account__config_version"), "plans_version": version}
    of_marks = AlertSweepState.objects.filter(account__active=True).values_list("account_id", flat=True)
    due = set(of_marks.exclude(**same).order_by()[:MOST])
    due |= set(of_marks.filter(sweep__lt=ids.earlier(own, UNSEEN)).order_by("sweep")[:MOST])
    due |= set(Account.objects.filter(active=True, alert_mark=None).order_by().values_list("pk", flat=True)[:MOST])
    if last is not None:
        since = ids.earlier(last, OVERLAP)
        for facts in (UsageLog, UsageAdjustment):
            due |= set(facts.objects.filter(id__gte=since).order_by().values_list("account_id", flat=True).distinct())
    return due


def _remember(marks: Sequence[AlertSweepState]) -> None:
    """Written last: a sweep that is killed leaves its accounts due."""
    target = ["account"] if connection.features.supports_update_conflicts_with_target else None
    AlertSweepState.objects.bulk_create(
        marks,
        batch_size=PARTS,
        update_conflicts=True,
        update_fields=["config_version", "plans_version", "sweep"],
        unique_fields=target,
    )


def _look(account: Account, at: datetime) -> int:
    reached = [
        alert
        for window, standing in _standings(account, at)
        if window.today >= account.billed_from
        for alert in _reached(account, window, standing, at)
    ]
    return _raise(account, reached, at) if reached else 0


def _standings(account: Account, at: datetime) -> Iterator[tuple[Window, LimitStatus]]:
    """With every limit; within an hour of the local midnight also as the day, and perhaps the period, ended."""
    window = limits.window(account, at)
    yield from ((window, one) for one in limits.standing(account, at))
    midnight = periods.starts_at(account.schedule, window.today)
    if at - midnight < JUST_ENDED:
        yield from _at_the_end(account, midnight)


def _at_the_end(account: Account, midnight: datetime) -> Iterator[tuple[Window, LimitStatus]]:
    """As the day before ended, under the plan that the account had then."""
    last = midnight - INSTANT
    window, use = limits.window(account, last), limits.read(account, last).use
    then = plans.effective_limits(account, last, plan=subscriptions.plan_at(account, midnight))
    yield from ((window, decisions.standing(limit, use, window)) for limit in then)


def _reached(account: Account, window: Window, one: LimitStatus, at: datetime) -> Iterator[UsageAlert]:
    """An alert for each threshold that is reached, the lowest first; what is unlimited or not allowed has none."""
    limit, daily = one.limit, one.limit.per == Per.DAY
    if not limit.amount:
        return
    projected = None if daily else _projected(account, window, one.used, at)
    percents = settings.ALERT_COST_PERCENTS if limit.meter.unit == "cost" else settings.ALERT_PERCENTS
    thresholds = [percent for percent in percents if one.used * 100 >= limit.amount * percent]
    if projected is not None and one.used < limit.amount < projected:
        thresholds.insert(0, PROJECTED)
    for threshold in thresholds:
        yield UsageAlert(
            account=account,
            period=window.today if daily else window.start,
            meter=limit.meter.slug + (PER_DAY if daily else ""),
            label=limit.meter.label,
            unit=limit.meter.unit,
            threshold=threshold,
            cap=limit.amount,
            used=one.used,
            projected=projected,
            raised_at=at,
        )


def _projected(account: Account, window: Window, used: int, at: datetime) -> int | None:
    projected = reports.at_this_rate(used, usage_periods.period_from(account.schedule, window.start), at)
    return None if projected is None else min(projected, MOST_NANO)


def _raise(account: Account, reached: Iterable[UsageAlert], at: datetime) -> int:
    """Store what is new, with its deliveries, in one transaction; how many that were."""
    stands = of(account).filter(period__in={alert.period for alert in reached}).order_by()
    known = set(stands.values_list(*KEY))
    fresh = [alert for alert in reached if _key(alert) not in known]
    if not fresh:
        return 0
    with transaction.atomic():
        UsageAlert.objects.bulk_create(fresh, ignore_conflicts=True)
        stored = set(of(account).filter(pk__in=[alert.pk for alert in fresh]).values_list("pk", flat=True))
        raised = [alert for alert in fresh if alert.pk in stored]  # another sweep may have been first
        deliveries.plan(account, _worth_telling(raised), at)
    return len(raised)


KEY = ("period", "meter", "threshold", "cap")
_key = attrgetter(*KEY)


def _worth_telling(raised: Iterable[UsageAlert]) -> list[UsageAlert]:
    """Of thresholds that were crossed together the highest: it says the others as well."""
    highest = {(alert.period, alert.meter, alert.cap, alert.threshold == PROJECTED): alert for alert in raised}
    return list(highest.values())
