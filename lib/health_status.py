"""How well does it go, by the share of errors? One rule for the service itself and for the providers behind it."""

from __future__ import annotations

from typing import Literal

from django.conf import settings

Status = Literal["healthy", "warning", "critical", "unknown"]
Reason = Literal["no_requests", "not_measured"]


def status(requests: int, errors: int) -> Status:
    """Judged over the thresholds of the settings, in whole numbers; without requests nothing is known."""
    if not requests:
        return "unknown"
    if 100 * errors > settings.HEALTH_CRITICAL_PERCENT * requests:
        return "critical"
    return "warning" if 100 * errors > settings.HEALTH_WARNING_PERCENT * requests else "healthy"
