"""What an operator on call asks of billing first. Read from totals and indexes, never by a walk through the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.models import CorrectionBatch, Delivery
from billing.reports import reports
from providers import rulebook

DAYS = timedelta(days=31)
OVERDUE = timedelta(minutes=5)  # a delivery is due again at most that long after an attempt was killed
MOST = 1_000  # counted no further
SHOWN = 5
UNKNOWN = "unknown"  # the provider of an address that no rule names

State = Delivery.State


@dataclass(frozen=True, slots=True)
class Fallback:
    """A provider that stands for what callers declared, as no rule named another."""

    provider: str
    label: str
    calls: int


@dataclass(frozen=True, slots=True)
class OnCall:
    """Deliveries of alerts as they stand; calls of the last 31 days (UTC), all accounts; corrections not finished."""

    pending: int
    overdue: int
    given_up: int
    failures: tuple[Delivery, ...]
    calls: int
    unknown_calls: int
    fallback_calls: int
    unpriced_calls: int
    fallbacks: tuple[Fallback, ...]
    open_corrections: int


def figures(at: datetime) -> OnCall:
    pending = Delivery.objects.filter(state=State.PENDING)
    given_up = Delivery.objects.filter(state=State.FAILED)
    cells = reports.cells_between(None, (at - DAYS).astimezone(UTC).date(), at.astimezone(UTC).date() + reports.DAY)
    return OnCall(
        pending=pending[:MOST].count(),
        overdue=pending.filter(due_at__lt=at - OVERDUE)[:MOST].count(),
        given_up=given_up[:MOST].count(),
        failures=tuple(given_up.select_related("account", "alert", "webhook").order_by("-due_at")[:SHOWN]),
        calls=sum(cell.calls for cell in cells),
        unknown_calls=sum(cell.calls for cell in cells if cell.provider == UNKNOWN),
        fallback_calls=sum(cell.fallback_calls for cell in cells),
        unpriced_calls=sum(cell.unpriced_calls for cell in cells),
        fallbacks=_fallbacks(cells),
        open_corrections=CorrectionBatch.objects.filter(finished_at=None)[:MOST].count(),
    )


def _fallbacks(cells: list[reports.Cell]) -> tuple[Fallback, ...]:
    """Most calls first."""
    labels = rulebook.current().labels
    by_provider: dict[str, int] = {}
    for cell in cells:
        by_provider[cell.provider] = by_provider.get(cell.provider, 0) + cell.fallback_calls
    found = [Fallback(slug, reports.label_of(slug, labels), calls) for slug, calls in by_provider.items() if calls]
    return tuple(sorted(found, key=lambda one: (-one.calls, one.provider))[:SHOWN])
