"""What minutes and hours of requests add up to: counts, error rate, percentiles. Read by health, history and the pages.

Everything is summed in the database: what comes out is a row a route or an hour, however many there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet, Sum

from lib import health_status
from lib.health_status import Status
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
    """Requests of a span. `errors` are those of HEALTH_ERROR_FROM or above; 4xx and 5xx are counted apart beside them.

    `dropped` were answered and could not be logged: they are in no other figure. `latency` is a histogram's columns.
    """

    requests: int
    errors: int
    client_errors: int
    server_errors: int
    dropped: int
    duration_us: int
    latency: tuple[int, ...]

    @property
    def status(self) -> Status:
        return health_status.status(self.requests, self.errors)

    @property
    def error_rate(self) -> float | None:
        """In per cent with two decimals; None without requests."""
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
class Route:
    """One route's part; `share` is its requests in per cent of all."""

    name: str
    traffic: Traffic
    share: float | None


def of(row: Mapping[str, Any]) -> Traffic:
    """A row with SUMS, where the database says NULL for a sum of nothing."""
    counts = {name: int(row[f"{name}_sum"] or 0) for name in COUNTS}
    return Traffic(latency=tuple(int(row[f"{name}_sum"] or 0) for name in histogram.COLUMNS), **counts)


def total(parts: Iterable[Traffic]) -> Traffic:
    parts = list(parts)
    sums = {name: sum(getattr(part, name) for part in parts) for name in COUNTS}
    latency = [sum(column) for column in zip(*(part.latency for part in parts), strict=True)]
    return Traffic(latency=tuple(latency or [0] * len(histogram.COLUMNS)), **sums)


def routes(start: datetime, end: datetime) -> tuple[Traffic, list[Route]]:
    """All that was answered in the minutes from `start` up to and with `end`, and each route's part, the busiest first."""
    return _by_route(RequestMinute.objects.filter(minute__gte=start, minute__lte=end))


def routes_by_hours(start: datetime, end: datetime) -> tuple[Traffic, list[Route]]:
    """The same of the hours from `start` up to and with `end`: for long spans."""
    return _by_route(RequestHour.objects.filter(hour__gte=start, hour__lte=end))


def hours(start: datetime, end: datetime) -> dict[datetime, Traffic]:
    """The traffic of each hour from `start` up to and with `end` in which there was any."""
    within = RequestHour.objects.filter(hour__gte=start, hour__lte=end).order_by()
    return {row["hour"]: of(row) for row in within.values("hour").annotate(**SUMS)}


def _by_route(counts: QuerySet[Any]) -> tuple[Traffic, list[Route]]:
    found = [(row["route"], of(row)) for row in counts.order_by().values("route").annotate(**SUMS)]
    whole = total(part for _, part in found)
    named = [Route(name, part, _share(part.requests, whole.requests)) for name, part in found if part.requests]
    return whole, sorted(named, key=lambda route: (-route.traffic.requests, route.name))


def worst(found: Iterable[Route]) -> list[Route]:
    """Those with errors, most errors first."""
    failing = [route for route in found if route.traffic.errors]
    return sorted(failing, key=lambda route: (-route.traffic.errors, route.name))


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
