"""Past days of the platform, gathered into one row a figure: slots spread a running day's writers, and make readers slow.

A day that is over is written seldom: by what comes late, and by corrections. The job calls it; no sum changes by it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import F, Sum

from billing.ledger.rollups import PLATFORM_DAYS
from billing.models import PlatformDay
from billing.models.rollups import SLOTS
from lib import retry, upsert

OVER = timedelta(days=2)  # since a day began: nobody's clock is as late
KEYS = PLATFORM_DAYS.keys[:-1]  # all but the slot


def compact(at: datetime) -> int:
    """Gather what is spread over slots, a day a transaction; how many days that were. May be stopped at any moment."""
    before = at.astimezone(UTC).date() - OVER
    spread = PlatformDay.objects.filter(day__lt=before, slot__gt=0).order_by("day").values_list("day", flat=True)
    days = list(spread.distinct())
    for day in days:
        retry.on_deadlock(partial(_gather, day))
    return len(days)


@transaction.atomic
def _gather(day: date) -> None:
    """The rows are claimed by moving them to slots that no writer knows: what is written meanwhile stays for another time."""
    spread = PlatformDay.objects.filter(day=day)
    spread.filter(slot__gt=0, slot__lt=SLOTS).update(slot=F("slot") + SLOTS)
    claimed = spread.filter(slot__gt=SLOTS)
    sums = {f"sum_{counter}": Sum(counter) for counter in PLATFORM_DAYS.counters}
    rows = claimed.order_by().values_list(*KEYS).annotate(**sums)
    together = sorted((*row[: len(KEYS)], 0, *map(int, row[len(KEYS) :])) for row in rows)
    claimed.delete()
    upsert.add(
        connection,
        upsert.Sums(PLATFORM_DAYS.table, PLATFORM_DAYS.keys, PLATFORM_DAYS.counters, together),
    )
