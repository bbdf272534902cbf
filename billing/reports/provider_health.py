"""Health of AI providers, read from per-minute counts of live calls by time of receipt, not from logs."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import Error as DatabaseFailure
from django.db.models import Max, Q
from django.utils import timezone

from billing.models import ProviderMinute, UsageDay, UsageLog
from billing.models.rollups import PROVIDER_BOUNDS_MS
from lib import health_status, histogram, ids
from lib.exact_sum import ExactSum
from lib.health_status import HealthReason, HealthStatus
from providers import rulebook

logger = logging.getLogger(__name__)

LISTED_FOR = timedelta(hours=1)  # after its last live call
MINUTE = timedelta(minutes=1)
ACCOUNT_USAGE_SPAN = timedelta(days=31)
MAX_PROVIDERS = 100
CACHE_SECONDS = 5
COLUMNS = histogram.columns(PROVIDER_BOUNDS_MS)


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest failed call; only the minute of its receipt if its log was not found."""

    at: datetime
    status_code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One actual provider in the window. Percentiles cover the calls with a response time; the error rate is in percent."""

    provider: str
    label: str
    status: HealthStatus
    reason: HealthReason | None
    calls: int
    errors: int
    error_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    last_error: LastError | None


@dataclass(frozen=True, slots=True)
class ProviderHealthReport:
    """The providers, worst first. `reason` is `not_measured` if the database did not answer."""

    providers: tuple[ProviderHealth, ...]
    window_seconds: int
    as_of: datetime
    reason: HealthReason | None = None


def measure(at: datetime) -> ProviderHealthReport:
    """Measure the providers of the last hour over the HEALTH_WINDOW_MINUTES full minutes before `at` and the current one."""
    start = health_status.window_start(at)
    seconds = int((at - start).total_seconds())
    try:
        rows = list(_rows(start, at))
        errors = {row["actual"]: _last_error(row["actual"], row["failed_at"]) for row in rows if row["failed_at"]}
    except DatabaseFailure:
        logger.exception("Provider health could not be measured")
        return ProviderHealthReport((), seconds, at, "not_measured")
    labels = rulebook.current().labels
    providers = [_provider_health(row, labels, errors.get(row["actual"])) for row in rows]
    return ProviderHealthReport(tuple(sorted(providers, key=_worst_first)), seconds, at)


def latest() -> ProviderHealthReport:
    """Provider health, measured at most once per CACHE_SECONDS in each process, however many pages poll it."""
    return measure_cached(int(time.monotonic() / CACHE_SECONDS))


@lru_cache(maxsize=1)
def measure_cached(_time_slot: int) -> ProviderHealthReport:
    return measure(timezone.now())


def providers_used_by(account_id: int, at: datetime) -> Collection[str]:
    """The actual providers of the account's calls in the last ACCOUNT_USAGE_SPAN."""
    days = UsageDay.objects.filter(account_id=account_id, day__gte=(at - ACCOUNT_USAGE_SPAN).date(), calls__gt=0)
    return set(days.order_by().values_list("actual", flat=True).distinct())


def _rows(start: datetime, at: datetime) -> Any:  # noqa: ANN401 - a values queryset
    """The sums of the window and the last minute with an error, by provider with a live call in the last hour."""
    recent = ProviderMinute.objects.filter(minute__gt=at.replace(second=0, microsecond=0) - LISTED_FOR, minute__lte=at)
    sums = {f"{name}_sum": ExactSum(name, filter=Q(minute__gte=start)) for name in ("calls", "errors", *COLUMNS)}
    by_provider = recent.order_by().values("actual").annotate(failed_at=Max("minute", filter=Q(errors__gt=0)), **sums)
    return by_provider.order_by("actual")[:MAX_PROVIDERS]


def _provider_health(row: Mapping[str, Any], labels: Mapping[str, str], last_error: LastError | None) -> ProviderHealth:
    calls, errors = int(row["calls_sum"] or 0), int(row["errors_sum"] or 0)
    counts = [int(row[f"{name}_sum"] or 0) for name in COLUMNS]
    p50, p95, p99 = (histogram.percentile(PROVIDER_BOUNDS_MS, counts, percent) for percent in (50, 95, 99))
    return ProviderHealth(
        provider=row["actual"],
        label=rulebook.provider_label(row["actual"], labels),
        status=health_status.classify(calls, errors),
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
    """Ids sort by time of receipt, so only the rows of one minute are read."""
    of_minute = UsageLog.objects.filter(id__gte=ids.min_id_at(minute), id__lt=ids.min_id_at(minute + 2 * MINUTE))
    failed = of_minute.filter(actual_provider_name=provider, status_code__gte=400).order_by("-id")
    row = failed.values_list("received_at", "status_code", "error_message").first()
    return LastError(*row) if row else LastError(minute, None, "")


def _worst_first(health: ProviderHealth) -> tuple[int, int, str]:
    return STATUS_ORDER.index(health.status), -health.calls, health.provider


STATUS_ORDER: tuple[HealthStatus, ...] = ("critical", "warning", "healthy", "unknown")
