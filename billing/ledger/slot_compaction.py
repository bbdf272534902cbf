"""Merges the slots of past platform days into one row per key. Slots avoid lock contention but slow down reads.

Past days are rarely written: only by late events and corrections. Totals do not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain

from django.db.models import F

from billing.ledger import rollups
from billing.ledger.rollups import FIRST_SPARE_SLOT, LEDGER_ROLLUPS, PLATFORM_DAYS, Row, Totals
from billing.models import PlatformDay
from billing.models.rollups import MAX_NANO, SLOTS
from lib import isolation, retry

MIN_AGE = timedelta(days=2)  # since the day began: it is over even by a slow clock
KEY_COLUMNS = PLATFORM_DAYS.keys[:-1]  # all but the slot


def compact(at: datetime, problems: list[str] | None = None) -> int:
    """Merge the slots of past days, one transaction per day; return the number of days. Safe to interrupt.

    A day that fails stays as it is. It is added to `problems`; without that list, raises ProblemFound in the end.
    """
    before = at.astimezone(UTC).date() - MIN_AGE
    spread = PlatformDay.objects.filter(day__lt=before, slot__gt=0, slot__lt=SLOTS).order_by("day")
    days = spread.values_list("day", flat=True).distinct()
    merge = {day: partial(_compact_day, day) for day in days}
    with isolation.collect(problems) as failed:
        return sum(bool(isolation.attempt(work, name=f"{day}", problems=failed)) for day, work in merge.items())


@retry.atomic
def _compact_day(day: date) -> bool:
    """Claim rows by moving them to slots that writers never use; rows written meanwhile wait for the next run."""
    spread = PlatformDay.objects.filter(day=day)
    spread.filter(slot__gt=0, slot__lt=SLOTS).update(slot=F("slot") + SLOTS)
    claimed = spread.filter(slot__gt=SLOTS, slot__lt=FIRST_SPARE_SLOT)
    rows = list(claimed.order_by().values_list(*KEY_COLUMNS, *PLATFORM_DAYS.counters))
    claimed.delete()
    try:
        _add(rows)
    except rollups.TotalTooLarge:
        for row in rows:
            _add([row])
    return True


def _add(rows: Iterable[Row]) -> None:
    """Add the rows to slot 0; to a spare slot if a total would be too large for one row."""
    totals: Totals = {}
    for row in rows:
        key, counts = row[: len(KEY_COLUMNS)], row[len(KEY_COLUMNS) :]
        totals[key] = [a + b for a, b in zip(totals.get(key, [0] * len(counts)), counts, strict=True)]
    if any(abs(count) > MAX_NANO for counts in totals.values() for count in counts):
        raise rollups.TotalTooLarge  # a driver may not take such a number at all
    all_totals = {rollup: totals if rollup is PLATFORM_DAYS else {} for rollup in LEDGER_ROLLUPS}
    rollups.apply(all_totals, slots=chain((0,), rollups.spare_slots()))
