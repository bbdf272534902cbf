"""What billing tells Prometheus, read from rollups. Called by config.metrics. Every figure is of a short span, and a gauge.

A sum over all time would be read anew at each scrape, and corrections may lower it, which Prometheus takes for a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum

from billing.models import Delivery, PlatformDay, ProviderMinute
from lib import metric_labels

DAY = ("calls", "errors", "tokens_total", "cost_nano", "unpriced_calls", "fallback_calls")
MINUTES = ("calls", "errors", "response_time_sum")


@dataclass(frozen=True, slots=True)
class Usage:
    """By actual provider, the largest by name: this UTC day in the order of DAY, the last minutes in that of MINUTES.

    `deliveries` counts those of alerts by state: waiting, and given up within a day.
    """

    day: dict[str, list[int]]
    minutes: dict[str, list[int]]
    deliveries: dict[str, int]


def read(at: datetime) -> Usage:
    """Four figures a provider, however large the log is: `at` decides the day and the minutes."""
    start = at.replace(second=0, microsecond=0) - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    minutes = ProviderMinute.objects.filter(minute__gte=start, minute__lte=at)
    day = PlatformDay.objects.filter(day=at.astimezone(UTC).date())
    return Usage(_by_provider(day, DAY), _by_provider(minutes, MINUTES), _deliveries(at))


def _by_provider(rows: QuerySet[Any], counters: tuple[str, ...]) -> dict[str, list[int]]:
    sums = rows.order_by().values_list("actual").annotate(*(Sum(counter) for counter in counters))
    return metric_labels.bounded((actual, [int(count) for count in counts]) for actual, *counts in sums)


def _deliveries(at: datetime) -> dict[str, int]:
    waiting = Delivery.objects.filter(state=Delivery.State.PENDING)
    failed = Delivery.objects.filter(state=Delivery.State.FAILED, ended_at__gte=at - timedelta(days=1))
    return {"waiting": waiting.count(), "failed": failed.aggregate(count=Count("id"))["count"]}
