"""Billing's figures for Prometheus, read from rollups. Every figure covers a short span and is a gauge.

A total over all time would be slow to read at each scrape, and Prometheus takes a lower total, as after a correction, for a
restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet

from billing.models import Delivery, PlatformDay, ProviderMinute
from lib import health_status, metric_labels
from lib.exact_sum import ExactSum

DAY_COUNTERS = ("calls", "errors", "tokens_total", "cost_nano", "unpriced_calls", "estimated_calls", "fallback_calls")
MINUTE_COUNTERS = ("calls", "errors", "response_time_sum")


@dataclass(frozen=True, slots=True)
class UsageFigures:
    """Counts by actual provider: of this UTC day (DAY_COUNTERS) and of the last minutes (MINUTE_COUNTERS).

    Small providers are combined. `deliveries` counts alert deliveries that are waiting, and that failed within a day.
    """

    day: dict[str, list[int]]
    minutes: dict[str, list[int]]
    deliveries: dict[str, int]


def load(at: datetime) -> UsageFigures:
    """Read the UTC day of `at` and the HEALTH_WINDOW_MINUTES before it; the time does not depend on the log's size."""
    start = health_status.window_start(at)
    minutes = ProviderMinute.objects.filter(minute__gte=start, minute__lte=at)
    day = PlatformDay.objects.filter(day=at.astimezone(UTC).date())
    return UsageFigures(_by_provider(day, DAY_COUNTERS), _by_provider(minutes, MINUTE_COUNTERS), _deliveries(at))


def _by_provider(rows: QuerySet[Any], counters: tuple[str, ...]) -> dict[str, list[int]]:
    sums = rows.order_by().values_list("actual").annotate(*(ExactSum(counter) for counter in counters))
    return metric_labels.limit_labels((actual, [int(count) for count in counts]) for actual, *counts in sums)


def _deliveries(at: datetime) -> dict[str, int]:
    waiting = Delivery.objects.filter(state=Delivery.State.PENDING)
    failed = Delivery.objects.filter(state=Delivery.State.FAILED, ended_at__gte=at - timedelta(days=1))
    return {"waiting": waiting.count(), "failed": failed.aggregate(count=Count("id"))["count"]}
