"""The health of the service, from the per-minute counts and never from single requests."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils import timezone

from lib import health_status
from lib.health_status import HealthReason, HealthStatus
from monitoring import traffic
from monitoring.traffic import RouteTraffic, Traffic

logger = logging.getLogger(__name__)

CACHE_SECONDS = 2
MAX_ROUTES = 3


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """Figures of the last full minutes and the current one. Counts are None, not 0, if nothing could be measured.

    `error_rate` is in per cent with two decimals; percentiles are in milliseconds, estimated by `histogram.percentile`.
    `dropped_requests` were answered but not logged, in all processes; no other figure includes them.
    """

    status: HealthStatus
    reason: HealthReason | None
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
    busiest_routes: tuple[RouteTraffic, ...] = ()
    worst_routes: tuple[RouteTraffic, ...] = ()


def measure(at: datetime) -> SystemHealth:
    """Measure the HEALTH_WINDOW_MINUTES full minutes before `at`, and the minute of `at` so far."""
    start = health_status.window_start(at)
    seconds = int((at - start).total_seconds())
    try:
        total, routes = traffic.route_traffic(start, at)
    except DatabaseFailure:
        logger.exception("System health could not be measured")
        return _unmeasured(seconds, at)
    if not total.requests and not settings.REQUEST_LOG:
        return _unmeasured(seconds, at)
    return _measured(total, routes, seconds, at)


def latest() -> SystemHealth:
    """System health, measured at most once per CACHE_SECONDS in each process, for any number of open cards."""
    return measure_cached(int(time.monotonic() / CACHE_SECONDS))


@lru_cache(maxsize=1)
def measure_cached(_time_slot: int) -> SystemHealth:
    return measure(timezone.now())


def _measured(total: Traffic, routes: list[RouteTraffic], seconds: int, at: datetime) -> SystemHealth:
    return SystemHealth(
        status=total.status,
        reason=None if total.requests else "no_requests",
        recent_requests=total.requests,
        recent_errors=total.errors,
        error_rate=total.error_rate,
        window_seconds=seconds,
        requests_per_minute=round(60 * total.requests / seconds, 2),
        p50_ms=total.p50_ms,
        p95_ms=total.p95_ms,
        p99_ms=total.p99_ms,
        as_of=at,
        client_errors=total.client_errors,
        server_errors=total.server_errors,
        dropped_requests=total.dropped,
        busiest_routes=tuple(routes[:MAX_ROUTES]),
        worst_routes=tuple(traffic.most_errors(routes)[:MAX_ROUTES]),
    )


def _unmeasured(seconds: int, at: datetime) -> SystemHealth:
    return SystemHealth("unknown", "not_measured", None, None, None, seconds, None, None, None, None, at)
