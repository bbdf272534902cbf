"""Past days of the platform, gathered into one row a figure: slots spread a running day's writers, and make readers slow.

A day that is over is written seldom: by what comes late, and by corrections. The job calls it; no sum changes by it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import connection, transaction

from billing.models import PlatformDay
from billing.rollups import PLATFORM_DAYS
from lib import retry, upsert

OVER = timedelta(days=2)  # since a day began: nobody's clock is as late
COLUMNS = (*PLATFORM_DAYS.keys, *PLATFORM_DAYS.counters)
SLOT, FIRST_COUNTER = PLATFORM_DAYS.keys.index("slot"), len(PLATFORM_DAYS.keys)


def gather(at: datetime) -> int:
    """Gather what is spread over slots, a day a transaction; how many days that were. May be stopped at any moment."""
    before = at.astimezone(UTC).date() - OVER
    spread = PlatformDay.objects.filter(day__lt=before, slot__gt=0).order_by("day").values_list("day", flat=True)
    days = list(spread.distinct())
    for day in days:
        retry.on_deadlock(partial(_gather, day))
    return len(days)


@transaction.atomic
def _gather(day: date) -> None:
    """Only the rows that are locked are taken away: a writer may add others meanwhile, or wait and put its row anew."""
    locked = PlatformDay.objects.select_for_update().filter(day=day, slot__gt=0).order_by(*PLATFORM_DAYS.keys)
    rows = list(locked.values_list(*COLUMNS))
    if not rows:
        return
    PlatformDay.objects.filter(pk__in=[row[:FIRST_COUNTER] for row in rows]).delete()
    totals: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        key, counts = (*row[:SLOT], 0), row[FIRST_COUNTER:]
        totals[key] = [a + b for a, b in zip(totals.get(key, [0] * len(counts)), counts, strict=True)]
    together = [(*key, *counts) for key, counts in sorted(totals.items())]
    upsert.add(connection, PLATFORM_DAYS.table, PLATFORM_DAYS.keys, PLATFORM_DAYS.counters, together)
