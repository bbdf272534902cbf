"""Checks the minutes of provider health by themselves: the log does not say which of its calls were live."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from django.db.models import F, Q

from billing.models import ProviderMinute
from billing.models.rollups import PROVIDER_BOUNDS_MS
from billing.verification.differences import CheckedPart, Comparison
from lib import histogram

TABLE = ProviderMinute._meta.db_table
COLUMNS = histogram.columns(PROVIDER_BOUNDS_MS)
MAX_SHOWN = 1_000  # rows; all are counted


def compare_minutes(_page: None) -> CheckedPart:
    """No minute has more errors or measured calls than calls, a negative count, or less time than its histogram says."""
    measured: Any = reduce(add, map(F, COLUMNS))
    lowest_ms: Any = reduce(add, (F(name) * bound for name, bound in zip(COLUMNS[1:], PROVIDER_BOUNDS_MS, strict=True)))
    minutes = ProviderMinute.objects.annotate(measured=measured, lowest_ms=lowest_ms)
    negative = reduce(lambda either, name: either | Q(**{f"{name}__lt": 0}), ("calls", "errors", *COLUMNS), Q())
    wrong = minutes.filter(
        negative | Q(errors__gt=F("calls")) | Q(measured__gt=F("calls")) | Q(response_time_sum__lt=F("lowest_ms"))
    )
    comparison = Comparison(rows=ProviderMinute.objects.count())
    for row in wrong.order_by("minute", "actual", "slot")[:MAX_SHOWN]:
        pairs: dict[str, tuple[object, object]] = {
            "errors": (row.errors, min(max(row.errors, 0), row.calls)),
            "calls": (row.calls, max(row.calls, row.measured, 0)),
            "response_time_sum": (row.response_time_sum, max(row.response_time_sum, row.lowest_ms)),
        }
        comparison.note(TABLE, (row.minute, row.actual, row.slot), pairs)
    return comparison.as_part()
