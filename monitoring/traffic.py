"""Sums of the request counts by route or hour: requests, error rate, percentiles.

The database does the summing and returns one row per route or hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet, Sum

from lib import health_status
from lib.health_status import HealthStatus
from monitoring import histogram
from monitoring.models import RequestHour, RequestMinute

COUNTS = ("requests", "errors", "client_errors", "server_errors", "dropped", "duration_us")
SUMS = {
    **{f"{name}_sum": Sum(name) for name in ("requests", "errors", "dropped", "duration_us", *histogram.COLUMNS)},
    "client_errors_sum": Sum("requests", filter=Q(status_class=4)),
    "server_errors_sum": Sum("requests", filter=Q(status_class=5)),
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Request counts of a span. `errors` have a status of HEALTH_ERROR_FROM or above; 4xx and 5xx are also counted separately.

    `dropped` requests were answered but not logged; no other figure includes them. `latency` holds the histogram counts.
    """

    requests: int
    errors: int
    client_errors: int
    server_errors: int
    dropped: int
    duration_us: int
    latency: tuple[int, ...]

    @property
    def status(self) -> HealthStatus:
        return health_status.classify(self.requests, self.errors)

    @property
    def error_rate(self) -> float | None:
        """In per cent, with two decimals; None without requests."""
        return round(100 * self.errors / self.requests, 2) if self.requests else None

    @property
    def p50_ms(self) -> float | None:
        return histogram.percentile(self.latency, 50)

    @property
    def p95_ms(self) -> float | None:
        return histogram.percentile(self.latency, 95)

    @property
    def p99_ms(self) -> float | None:
        return histogram.percentile(self.latency, 99)


@dataclass(frozen=True, slots=True)
class RouteTraffic:
    """The traffic of one route; `share` is its requests in per cent of all."""

    name: str
    traffic: Traffic
    share: float | None


def from_row(row: Mapping[str, Any]) -> Traffic:
    """Traffic from a row annotated with SUMS; the database returns NULL for an empty sum."""
    counts = {name: int(row[f"{name}_sum"] or 0) for name in COUNTS}
    return Traffic(latency=tuple(int(row[f"{name}_sum"] or 0) for name in histogram.COLUMNS), **counts)


def combine(parts: Iterable[Traffic]) -> Traffic:
    parts = list(parts)
    sums = {name: sum(getattr(part, name) for part in parts) for name in COUNTS}
    latency = [sum(column) for column in zip(*(part.latency for part in parts), strict=True)]
    return Traffic(latency=tuple(latency or [0] * len(histogram.COLUMNS)), **sums)


def route_traffic(start: datetime, end: datetime) -> tuple[Traffic, list[RouteTraffic]]:
    """The traffic of the minutes from `start` to `end` inclusive: the total, and by route, busiest first."""
    return _group_by_route(RequestMinute.objects.filter(minute__gte=start, minute__lte=end))


def route_traffic_from_hours(start: datetime, end: datetime) -> tuple[Traffic, list[RouteTraffic]]:
    """Like `route_traffic`, from the counts of the hours from `start` to `end` inclusive: for long spans."""
    return _group_by_route(RequestHour.objects.filter(hour__gte=start, hour__lte=end))


def hourly_traffic(start: datetime, end: datetime) -> dict[datetime, Traffic]:
    """The traffic of each hour from `start` to `end` inclusive; hours without requests are missing."""
    hours = RequestHour.objects.filter(hour__gte=start, hour__lte=end).order_by()
    return {row["hour"]: from_row(row) for row in hours.values("hour").annotate(**SUMS)}


def _group_by_route(counts: QuerySet[Any]) -> tuple[Traffic, list[RouteTraffic]]:
    rows = [(row["route"], from_row(row)) for row in counts.order_by().values("route").annotate(**SUMS)]
    total = combine(traffic for _, traffic in rows)
    routes = [
        RouteTraffic(name, traffic, _share(traffic.requests, total.requests))
        for name, traffic in rows
        if traffic.requests
    ]
    return total, sorted(routes, key=lambda route: (-route.traffic.requests, route.name))


def most_errors(routes: Iterable[RouteTraffic]) -> list[RouteTraffic]:
    """The routes with errors, most errors first."""
    failing = [route for route in routes if route.traffic.errors]
    return sorted(failing, key=lambda route: (-route.traffic.errors, route.name))


def _share(part: int, total: int) -> float | None:
    return round(100 * part / total, 2) if total else None
