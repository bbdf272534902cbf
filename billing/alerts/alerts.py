"""Alerts for limits that are nearly reached, reached, or projected to be exceeded.

A sweep checks only accounts whose logs, adjustments or configuration changed since the last sweep; recording usage does no
extra work for it. Every account is also checked once an hour, for changes that leave no such trace: rebuilt rollups, or a
transaction that committed later than MAX_COMMIT_DELAY after its ids were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet

from billing.accounts import usage_periods
from billing.alerts import deliveries
from billing.limits import decisions, limits
from billing.limits.decisions import LimitStatus, OpenWindow
from billing.models import Account, AlertSweepState, Per, UsageAdjustment, UsageAlert, UsageLog
from billing.models.alerts import PROJECTED
from billing.models.rollups import MAX_NANO
from billing.plans import plans, subscriptions
from billing.plans.meters import DAILY_SUFFIX
from billing.reports import reports
from lib import ids, isolation, periods, retry

MAX_COMMIT_DELAY = timedelta(minutes=2)  # between the creation of an id and the commit of its row
RECHECK_AFTER = timedelta(hours=1)
DAY_END_WINDOW = timedelta(hours=1)  # after local midnight, during which the day that ended is checked too
MAX_ACCOUNTS = 5_000  # per sweep and reason (configuration, hourly check, new account); takes about 20 s
BATCH_SIZE = 500  # accounts
FAILED_VERSION = 0  # of the configuration, for an account that could not be checked: it stays due
MICROSECOND = timedelta(microseconds=1)


class SweepResult(NamedTuple):
    """Number of accounts checked, and of alerts raised."""

    accounts: int
    alerts: int


def sweep(at: datetime, problems: list[str] | None = None) -> SweepResult:
    """Raises each due alert once, even with concurrent sweeps. After a crash, the next sweep continues.

    An account that fails stays due. It is added to `problems`; without that list, raises ProblemFound in the end.
    """
    sweep_id, version = ids.new_id(), plans.current().version
    due = sorted(_due_account_ids(sweep_id, version))
    states: list[AlertSweepState] = []
    checked = raised = 0
    with isolation.collect(problems) as failed:
        for start in range(0, len(due), BATCH_SIZE):
            for account in Account.objects.filter(pk__in=due[start : start + BATCH_SIZE], active=True).order_by("pk"):
                check = partial(retry.on_deadlock, partial(_check_account, account, at))
                alerts = isolation.attempt(check, name=account.external_id, problems=failed)
                checked, raised = checked + (alerts is not None), raised + (alerts or 0)
                config_version = FAILED_VERSION if alerts is None else account.config_version
                state = {"config_version": config_version, "plans_version": version, "sweep": sweep_id}
                states.append(AlertSweepState(account=account, **state))
        _save_sweep_states(states)
    return SweepResult(checked, raised)


def list_page(
    account: Account | None, *, unread: bool | None, before: UUID | None = None, size: int
) -> tuple[list[UsageAlert], UUID | None]:
    """Alerts of one account, or of all for None, newest first; and the `before` of the next page, None on the last."""
    alerts = for_account(account)
    if unread is not None:
        alerts = alerts.filter(read_at__isnull=unread)
    if before is not None:
        alerts = alerts.filter(id__lt=before)
    rows = list(alerts.select_related("account").order_by("-id")[: size + 1])
    return rows[:size], rows[size - 1].id if len(rows) > size else None


def find(account: Account | None, alert_id: UUID) -> UsageAlert | None:
    """The alert if it belongs to the account (any account for None)."""
    return for_account(account).select_related("account").filter(pk=alert_id).first()


def for_account(account: Account | None) -> QuerySet[UsageAlert]:
    return UsageAlert.objects.all() if account is None else UsageAlert.objects.filter(account_id=account.pk)


def mark_read(alerts: QuerySet[UsageAlert], at: datetime) -> int:
    """Marks unread alerts as read. Returns their number."""
    return retry.on_deadlock(lambda: alerts.filter(read_at=None).update(read_at=at))


def _due_account_ids(sweep_id: UUID, version: int) -> set[int]:
    last = AlertSweepState.objects.order_by("-sweep").values_list("sweep", flat=True).first()
    unchanged = {"config_version": F("account__config_version"), "plans_version": version}
    swept = AlertSweepState.objects.filter(account__active=True).values_list("account_id", flat=True)
    due = set(swept.exclude(**unchanged).order_by("sweep")[:MAX_ACCOUNTS])  # accounts that fail give way to others
    due |= set(swept.filter(sweep__lt=ids.min_id_before(sweep_id, RECHECK_AFTER)).order_by("sweep")[:MAX_ACCOUNTS])
    due |= set(
        Account.objects.filter(active=True, alert_mark=None).order_by().values_list("pk", flat=True)[:MAX_ACCOUNTS]
    )
    if last is not None:
        since = ids.min_id_before(last, MAX_COMMIT_DELAY)
        for model in (UsageLog, UsageAdjustment):
            due |= set(model.objects.filter(id__gte=since).order_by().values_list("account_id", flat=True).distinct())
    return due


def _save_sweep_states(states: Sequence[AlertSweepState]) -> None:
    """Runs last: the accounts of a sweep that crashed remain due."""
    target = ["account"] if connection.features.supports_update_conflicts_with_target else None
    AlertSweepState.objects.bulk_create(
        states,
        batch_size=BATCH_SIZE,
        update_conflicts=True,
        update_fields=["config_version", "plans_version", "sweep"],
        unique_fields=target,
    )


def _check_account(account: Account, at: datetime) -> int:
    reached = [
        alert
        for window, status in _limit_statuses(account, at)
        if window.today >= account.billed_from
        for alert in _reached_alerts(account, window, status, at)
    ]
    return _store_new(account, reached, at) if reached else 0


def _limit_statuses(account: Account, at: datetime) -> Iterator[tuple[OpenWindow, LimitStatus]]:
    """Yields the status of every limit; shortly after local midnight also the statuses at the end of the previous day."""
    window = limits.open_window(account, at)
    yield from ((window, status) for status in limits.statuses(account, at))
    midnight = periods.first_instant(account.schedule, window.today)
    if at - midnight < DAY_END_WINDOW:
        yield from _statuses_at_day_end(account, midnight)


def _statuses_at_day_end(account: Account, midnight: datetime) -> Iterator[tuple[OpenWindow, LimitStatus]]:
    """Yields the statuses just before midnight, under the plan of that time."""
    last_instant = midnight - MICROSECOND
    window, usage = limits.open_window(account, last_instant), limits.load_inputs(account, last_instant).usage
    effective = plans.effective_limits(account, last_instant, plan=subscriptions.plan_at(account, midnight))
    yield from ((window, decisions.limit_status(limit, usage, window)) for limit in effective)


def _reached_alerts(account: Account, window: OpenWindow, status: LimitStatus, at: datetime) -> Iterator[UsageAlert]:
    """Yields an alert for each threshold reached, lowest first; none for unlimited and forbidden meters."""
    limit, daily = status.limit, status.limit.per == Per.DAY
    if not limit.amount:
        return
    projected = None if daily else _projected_use(account, window, status.used, at)
    percents = settings.ALERT_COST_PERCENTS if limit.meter.unit == "cost" else settings.ALERT_PERCENTS
    thresholds = [percent for percent in percents if status.used * 100 >= limit.amount * percent]
    if projected is not None and status.used < limit.amount < projected:
        thresholds.insert(0, PROJECTED)
    for threshold in thresholds:
        yield UsageAlert(
            account=account,
            period=window.today if daily else window.start,
            meter=limit.meter.slug + (DAILY_SUFFIX if daily else ""),
            label=limit.meter.label,
            unit=limit.meter.unit,
            threshold=threshold,
            cap=limit.amount,
            used=min(status.used, MAX_NANO),
            projected=projected,
            raised_at=at,
        )


def _projected_use(account: Account, window: OpenWindow, used: int, at: datetime) -> int | None:
    projected = reports.projected_cost_nano(used, usage_periods.period_from(account.schedule, window.start), at)
    return None if projected is None else min(projected, MAX_NANO)


def _store_new(account: Account, reached: Iterable[UsageAlert], at: datetime) -> int:
    """Stores new alerts and enqueues their deliveries in one transaction. Returns the number of new alerts."""
    existing = for_account(account).filter(period__in={alert.period for alert in reached}).order_by()
    known = set(existing.values_list(*KEY))
    new = [alert for alert in reached if _key(alert) not in known]
    if not new:
        return 0
    with transaction.atomic():
        UsageAlert.objects.bulk_create(new, ignore_conflicts=True)
        stored = set(for_account(account).filter(pk__in=[alert.pk for alert in new]).values_list("pk", flat=True))
        raised = [alert for alert in new if alert.pk in stored]  # a concurrent sweep may have stored the others
        deliveries.enqueue(account, _highest_only(raised), at)
    return len(raised)


KEY = ("period", "meter", "threshold", "cap")
_key = attrgetter(*KEY)


def _highest_only(raised: Iterable[UsageAlert]) -> list[UsageAlert]:
    """Only the highest of the thresholds that a meter crossed at once: it implies the lower ones."""
    highest = {(alert.period, alert.meter, alert.cap, alert.threshold == PROJECTED): alert for alert in raised}
    return list(highest.values())
