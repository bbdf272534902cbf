"""Is the service well? Read from minutes, never from raw requests. Asked by the API and by the operator's card."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db.models import Sum
from django.utils import timezone

from monitoring import entries, histogram
from monitoring.models import RequestMinute

logger = logging.getLogger(__name__)

Status = Literal["healthy", "warning", "critical", "unknown"]
Reason = Literal["no_requests", "not_measured"]

SNAPSHOT_SECONDS = 2


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """The last full minutes and the running one. Counts are None where nothing could be measured, not 0.

    `error_rate` is in per cent with two decimals; percentiles are in milliseconds and read off the histogram as
    `histogram.percentile` says.
    """

    status: Status
    reason: Reason | None
    recent_requests: int | None
    recent_errors: int | None
    error_rate: float | None
    window_seconds: int
    requests_per_minute: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    as_of: datetime


def system(at: datetime) -> SystemHealth:
    """How the service did in the HEALTH_WINDOW_MINUTES full minutes before `at`, and in the minute of `at` so far."""
    minute = at.replace(second=0, microsecond=0)
    start = minute - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    seconds = int((at - start).total_seconds())
    try:
        counters = _counters(start, minute)
    except DatabaseFailure:
        logger.exception("System health could not be measured")
        return _unmeasured(seconds, at)
    if not counters["requests"] and not settings.REQUEST_LOG:
        return _unmeasured(seconds, at)
    return _judged(counters, seconds, at)


def snapshot() -> SystemHealth:
    """System health, measured at most once in SNAPSHOT_SECONDS by each process, however many cards watch it."""
    return measured_in(int(time.monotonic() / SNAPSHOT_SECONDS))


@lru_cache(maxsize=1)
def measured_in(_slice: int) -> SystemHealth:
    return system(timezone.now())


def _counters(start: datetime, end: datetime) -> dict[str, int]:
    within = RequestMinute.objects.filter(minute__gte=start, minute__lte=end)
    sums = within.aggregate(**{f"{name}_sum": Sum(name) for name in entries.COUNTERS})
    return {name: sums[f"{name}_sum"] or 0 for name in entries.COUNTERS}


def _judged(counters: dict[str, int], seconds: int, at: datetime) -> SystemHealth:
    requests, errors = counters["requests"], counters["errors"]
    counts = [counters[column] for column in histogram.COLUMNS]
    return SystemHealth(
        status=_status(requests, errors),
        reason=None if requests else "no_requests",
        recent_requests=requests,
        recent_errors=errors,
        error_rate=round(100 * errors / requests, 2) if requests else None,
        window_seconds=seconds,
        requests_per_minute=round(60 * requests / seconds, 2),
        p50_ms=histogram.percentile(counts, 50),
        p95_ms=histogram.percentile(counts, 95),
        p99_ms=histogram.percentile(counts, 99),
        as_of=at,
    )


def _status(requests: int, errors: int) -> Status:
    if not requests:
        return "unknown"
    if 100 * errors > settings.HEALTH_CRITICAL_PERCENT * requests:
        return "critical"
    return "warning" if 100 * errors > settings.HEALTH_WARNING_PERCENT * requests else "healthy"


def _unmeasured(seconds: int, at: datetime) -> SystemHealth:
    return SystemHealth("unknown", "not_measured", None, None, None, seconds, None, None, None, None, at)
