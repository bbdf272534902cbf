"""Do the providers answer? Read from minutes of live calls by receipt, never from logs. Asked by the API and by pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db.models import Max, Q, Sum
from django.utils import timezone

from billing.models import ProviderMinute, UsageDay, UsageLog
from billing.models.rollups import PROVIDER_BOUNDS_MS
from billing.reports import reports
from lib import health_status, histogram, ids
from lib.health_status import Reason, Status
from providers import rulebook

logger = logging.getLogger(__name__)

SEEN = timedelta(hours=1)  # a provider without a live call for as long is not listed
MINUTE = timedelta(minutes=1)
USED_DAYS = timedelta(days=31)
MOST = 100  # providers listed
SNAPSHOT_SECONDS = 5
COLUMNS = histogram.columns(PROVIDER_BOUNDS_MS)


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest failed call: the minute of its receipt, and what it says where its log was found."""

    at: datetime
    status_code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One actual provider in the window. Percentiles are in milliseconds, of the calls that told their response time."""

    provider: str
    label: str
    status: Status
    reason: Reason | None
    calls: int
    errors: int
    error_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    last_error: LastError | None


@dataclass(frozen=True, slots=True)
class Providers:
    """Worst first. `reason` is `not_measured` where the database did not answer: that says nothing of any provider."""

    providers: tuple[ProviderHealth, ...]
    window_seconds: int
    as_of: datetime
    reason: Reason | None = None


def measured(at: datetime) -> Providers:
    """How the providers of the last hour did in the HEALTH_WINDOW_MINUTES full minutes before `at` and the running one."""
    minute = at.replace(second=0, microsecond=0)
    start = minute - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    seconds = int((at - start).total_seconds())
    try:
        rows = list(_rows(start, minute))
        errors = {row["actual"]: _last_error(row["actual"], row["failed_at"]) for row in rows if row["failed_at"]}
    except DatabaseFailure:
        logger.exception("Provider health could not be measured")
        return Providers((), seconds, at, "not_measured")
    labels = rulebook.current().labels
    found = [_judged(row, labels, errors.get(row["actual"])) for row in rows]
    return Providers(tuple(sorted(found, key=_worst_first)), seconds, at)


def snapshot() -> Providers:
    """Provider health, measured at most once in SNAPSHOT_SECONDS by each process, however many cards watch it."""
    return measured_in(int(time.monotonic() / SNAPSHOT_SECONDS))


@lru_cache(maxsize=1)
def measured_in(_slice: int) -> Providers:
    return measured(timezone.now())


def used_by(account_id: int, at: datetime) -> Collection[str]:
    """The actual providers of the account's own calls, of late: those whose health is its business."""
    days = UsageDay.objects.filter(account_id=account_id, day__gte=(at - USED_DAYS).date(), calls__gt=0)
    return set(days.order_by().values_list("actual", flat=True).distinct())


def _rows(start: datetime, minute: datetime) -> Any:  # noqa: ANN401 - a values queryset
    """Sums of the window, and the last minute with an error, of every provider seen in the last hour."""
    seen = ProviderMinute.objects.filter(minute__gt=minute - SEEN, minute__lte=minute)
    sums = {f"{name}_sum": Sum(name, filter=Q(minute__gte=start)) for name in ("calls", "errors", *COLUMNS)}
    by_provider = seen.order_by().values("actual").annotate(failed_at=Max("minute", filter=Q(errors__gt=0)), **sums)
    return by_provider.order_by("actual")[:MOST]


def _judged(row: Mapping[str, Any], labels: Mapping[str, str], last_error: LastError | None) -> ProviderHealth:
    calls, errors = int(row["calls_sum"] or 0), int(row["errors_sum"] or 0)
    counts = [int(row[f"{name}_sum"] or 0) for name in COLUMNS]
    p50, p95, p99 = (histogram.percentile(PROVIDER_BOUNDS_MS, counts, percent) for percent in (50, 95, 99))
    return ProviderHealth(
        provider=row["actual"],
        label=reports.label_of(row["actual"], labels),
        status=health_status.status(calls, errors),
        reason=None if calls else "no_requests",
        calls=calls,
        errors=errors,
        error_rate=round(100 * errors / calls, 2) if calls else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        last_error=last_error,
    )


def _last_error(provider: str, minute: datetime) -> LastError:
    """Ids tell when a log was received, so that its newest failed call is found in the rows of one minute."""
    of_minute = UsageLog.objects.filter(id__gte=ids.least_of(minute), id__lt=ids.least_of(minute + 2 * MINUTE))
    failed = of_minute.filter(actual_provider_name=provider, status_code__gte=400).order_by("-id")
    found = failed.values_list("received_at", "status_code", "error_message").first()
    return LastError(*found) if found else LastError(minute, None, "")


def _worst_first(one: ProviderHealth) -> tuple[int, int, str]:
    return ORDER.index(one.status), -one.calls, one.provider


ORDER: tuple[Status, ...] = ("critical", "warning", "healthy", "unknown")
