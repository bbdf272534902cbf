"""Is the service well? Read from minutes, never from raw requests. Asked by the API and by the operator's card."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils import timezone

from lib.health_status import Reason, Status
from monitoring import traffic
from monitoring.traffic import Route, Traffic

logger = logging.getLogger(__name__)

SNAPSHOT_SECONDS = 2
TOP = 3


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """The last full minutes and the running one. Counts are None where nothing could be measured, not 0.

    `error_rate` is in per cent with two decimals; percentiles are in milliseconds and read off the histogram as
    `histogram.percentile` says. `dropped_requests` were answered and not logged, by any process: no other figure has them.
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
    client_errors: int | None = None  # 4xx
    server_errors: int | None = None  # 5xx
    dropped_requests: int | None = None
    busiest_routes: tuple[Route, ...] = ()
    worst_routes: tuple[Route, ...] = ()


def system(at: datetime) -> SystemHealth:
    """How the service did in the HEALTH_WINDOW_MINUTES full minutes before `at`, and in the minute of `at` so far."""
    minute = at.replace(second=0, microsecond=0)
    start = minute - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    seconds = int((at - start).total_seconds())
    try:
        whole, routes = traffic.routes(start, minute)
    except DatabaseFailure:
        logger.exception("System health could not be measured")
        return _unmeasured(seconds, at)
    if not whole.requests and not settings.REQUEST_LOG:
        return _unmeasured(seconds, at)
    return _judged(whole, routes, seconds, at)


def snapshot() -> SystemHealth:
    """System health, measured at most once in SNAPSHOT_SECONDS by each process, however many cards watch it."""
    return measured_in(int(time.monotonic() / SNAPSHOT_SECONDS))


@lru_cache(maxsize=1)
def measured_in(_slice: int) -> SystemHealth:
    return system(timezone.now())


def _judged(whole: Traffic, routes: list[Route], seconds: int, at: datetime) -> SystemHealth:
    return SystemHealth(
        status=whole.status,
        reason=None if whole.requests else "no_requests",
        recent_requests=whole.requests,
        recent_errors=whole.errors,
        error_rate=whole.error_rate,
        window_seconds=seconds,
        requests_per_minute=round(60 * whole.requests / seconds, 2),
        p50_ms=whole.p50_ms,
        p95_ms=whole.p95_ms,
        p99_ms=whole.p99_ms,
        as_of=at,
        client_errors=whole.client_errors,
        server_errors=whole.server_errors,
        dropped_requests=whole.dropped,
        busiest_routes=tuple(routes[:TOP]),
        worst_routes=tuple(traffic.worst(routes)[:TOP]),
    )


def _unmeasured(seconds: int, at: datetime) -> SystemHealth:
    return SystemHealth("unknown", "not_measured", None, None, None, seconds, None, None, None, None, at)
