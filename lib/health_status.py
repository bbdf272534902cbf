"""The health status for a share of errors: one rule for the service itself and for its providers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings

HealthStatus = Literal["healthy", "warning", "critical", "unknown"]
HealthReason = Literal["no_requests", "not_measured"]


def classify(requests: int, errors: int) -> HealthStatus:
    """Compare the error rate with the settings' thresholds, in integers; "unknown" without requests."""
    if not requests:
        return "unknown"
    if 100 * errors > settings.HEALTH_CRITICAL_PERCENT * requests:
        return "critical"
    return "warning" if 100 * errors > settings.HEALTH_WARNING_PERCENT * requests else "healthy"


def window_start(at: datetime) -> datetime:
    """The start of the health window: HEALTH_WINDOW_MINUTES full minutes before the minute of `at`, which counts too."""
    return at.replace(second=0, microsecond=0) - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
