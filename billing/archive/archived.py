"""What is known of usage logs that are in files: of which periods, and what they add to the totals. Asked, never written here.

billing/archive/archive_job.py puts them there; ledger.py knows their events.
"""

from __future__ import annotations

from django.db.models import Q, Sum

from billing.ledger import rollups
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup, Totals
from billing.models import Account, Archive, ArchivedUsage

USAGE = Rollup(
    ArchivedUsage,
    ("account_id", "day", "period", "utc_day", "declared", "actual", "category", "model"),
    rollups.DAY_COUNTS,
    lambda log: (
        *(log.account_id, log.usage_day, log.usage_period, rollups.platform_day(log)),
        *(rollups.declared_of(log), log.shown_provider, log.category, rollups.model_of(log)),
    ),
)
# Its columns that make the key of each rollup (a platform day's without its slot).
GROUPED = {
    USAGE_DAYS: USAGE_DAYS.keys,
    USAGE_MODELS: USAGE_MODELS.keys,
    PLATFORM_DAYS: ("utc_day", "declared", "actual", "category"),
}


def totals(rollup: Rollup, where: Q) -> Totals:
    """What a rollup holds of archived logs where `where` holds."""
    columns = GROUPED[rollup]
    sums = {f"sum_{counter}": Sum(counter) for counter in rollup.counters}
    rows = ArchivedUsage.objects.filter(where).order_by().values_list(*columns).annotate(**sums)
    return {row[: len(columns)]: [int(count) for count in row[len(columns) :]] for row in rows}


def told(account: Account) -> str:
    """For lists of an account's calls: of which periods some are missing, and why; "" where none is."""
    gone = Archive.objects.filter(account_id=account.pk, deleted__gt=0).order_by("period")
    names = [f"{period:%Y-%m}" for period in gone.values_list("period", flat=True)] if account.has_archive else []
    if not names:
        return ""
    which = names[0] if len(names) == 1 else f"{len(names)} periods, {names[0]} to {names[-1]},"
    return f"Calls of {which} are archived: totals and statements stay, single calls are listed no more."
