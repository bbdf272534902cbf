"""Merges the slots of past platform days into one row per key. Slots avoid lock contention but slow down reads.

Past days are rarely written: only by late events and corrections. Totals do not change.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import F, Sum

from billing.ledger.rollups import PLATFORM_DAYS
from billing.models import PlatformDay
from billing.models.rollups import SLOTS
from lib import isolation, retry, upsert

MIN_AGE = timedelta(days=2)  # since the day began: it is over even by a slow clock
KEY_COLUMNS = PLATFORM_DAYS.keys[:-1]  # all but the slot


def compact(at: datetime, problems: list[str] | None = None) -> int:
    """Merge the slots of past days, one transaction per day; return the number of days. Safe to interrupt.

    A day that fails, such as one whose sum exceeds 64 bits, is added to `problems` and stays as it is.
    """
    before = at.astimezone(UTC).date() - MIN_AGE
    spread = PlatformDay.objects.filter(day__lt=before, slot__gt=0).order_by("day").values_list("day", flat=True)
    problems = [] if problems is None else problems
    merge = {day: partial(retry.on_deadlock, partial(_compact_day, day)) for day in spread.distinct()}
    return sum(bool(isolation.attempt(work, name=f"{day}", problems=problems)) for day, work in merge.items())


@transaction.atomic
def _compact_day(day: date) -> bool:
    """Claim rows by moving them to slots that writers never use; rows written meanwhile wait for the next run."""
    spread = PlatformDay.objects.filter(day=day)
    spread.filter(slot__gt=0, slot__lt=SLOTS).update(slot=F("slot") + SLOTS)
    claimed = spread.filter(slot__gt=SLOTS)
    sums = {f"sum_{counter}": Sum(counter) for counter in PLATFORM_DAYS.counters}
    rows = claimed.order_by().values_list(*KEY_COLUMNS).annotate(**sums)
    merged = sorted((*row[: len(KEY_COLUMNS)], 0, *map(int, row[len(KEY_COLUMNS) :])) for row in rows)
    claimed.delete()
    upsert.increment(
        connection,
        upsert.Increments(PLATFORM_DAYS.table, PLATFORM_DAYS.keys, PLATFORM_DAYS.counters, merged),
    )
    return True
