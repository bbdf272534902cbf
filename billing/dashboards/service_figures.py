"""Figures of billing for the service page, from rollups and indexes: never a scan of the log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.models import CorrectionBatch, Delivery
from billing.reports import reports
from providers import rulebook

WINDOW = timedelta(days=31)
OVERDUE_AFTER = timedelta(minutes=5)  # an attempt that died with its process is due again by then
MAX_COUNTED = 1_000  # counts stop here
MAX_ROWS = 5
UNKNOWN_PROVIDER = "unknown"  # of calls to an address that no rule matches

State = Delivery.State


@dataclass(frozen=True, slots=True)
class FallbackProvider:
    """A provider taken from the caller's label, as no rule matched."""

    provider: str
    label: str
    calls: int


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """Alert deliveries now; calls of all accounts in WINDOW (UTC days); unfinished corrections."""

    pending: int
    overdue: int
    given_up: int
    failures: tuple[Delivery, ...]
    calls: int
    unknown_calls: int
    fallback_calls: int
    unpriced_calls: int
    estimated_calls: int
    fallbacks: tuple[FallbackProvider, ...]
    open_corrections: int


def figures(at: datetime) -> ServiceFigures:
    pending = Delivery.objects.filter(state=State.PENDING)
    given_up = Delivery.objects.filter(state=State.FAILED)
    cells = reports.cells_between(None, (at - WINDOW).astimezone(UTC).date(), at.astimezone(UTC).date() + reports.DAY)
    return ServiceFigures(
        pending=pending[:MAX_COUNTED].count(),
        overdue=pending.filter(due_at__lt=at - OVERDUE_AFTER)[:MAX_COUNTED].count(),
        given_up=given_up[:MAX_COUNTED].count(),
        failures=tuple(given_up.select_related("account", "alert", "webhook").order_by("-due_at")[:MAX_ROWS]),
        calls=sum(cell.calls for cell in cells),
        unknown_calls=sum(cell.calls for cell in cells if cell.provider == UNKNOWN_PROVIDER),
        fallback_calls=sum(cell.fallback_calls for cell in cells),
        unpriced_calls=sum(cell.unpriced_calls for cell in cells),
        estimated_calls=sum(cell.estimated_calls for cell in cells),
        fallbacks=_fallbacks(cells),
        open_corrections=CorrectionBatch.objects.filter(finished_at=None)[:MAX_COUNTED].count(),
    )


def _fallbacks(cells: list[reports.UsageCell]) -> tuple[FallbackProvider, ...]:
    """Providers with fallback calls, most calls first."""
    labels = rulebook.current().labels
    by_provider: Counter[str] = Counter()
    for cell in cells:
        by_provider[cell.provider] += cell.fallback_calls
    largest = sorted(((slug, calls) for slug, calls in by_provider.items() if calls), key=lambda row: (-row[1], row[0]))
    return tuple(
        FallbackProvider(slug, rulebook.provider_label(slug, labels), calls) for slug, calls in largest[:MAX_ROWS]
    )
