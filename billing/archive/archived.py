"""Read access to archived usage: its totals, and the periods of an account that are archived."""

from __future__ import annotations

from django.db.models import Q

from billing.ledger import rollups
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup, Totals
from billing.models import Account, Archive, ArchivedUsage
from lib.exact_sum import ExactSum

ARCHIVED_USAGE = Rollup(
    ArchivedUsage,
    ("account_id", "day", "period", "utc_day", "declared", "actual", "category", "model"),
    rollups.DAY_COUNTERS,
    lambda log: (
        *(log.account_id, log.usage_day, log.usage_period, rollups.platform_day(log)),
        *(rollups.declared_of(log), log.display_provider, log.category, rollups.model_of(log)),
    ),
)
# The columns of ArchivedUsage that form the key of each rollup (of a platform day without its slot).
KEY_COLUMNS = {
    USAGE_DAYS: USAGE_DAYS.keys,
    USAGE_MODELS: USAGE_MODELS.keys,
    PLATFORM_DAYS: ("utc_day", "declared", "actual", "category"),
}


def totals(rollup: Rollup, where: Q) -> Totals:
    """What archived logs matching `where` add to a rollup."""
    columns = KEY_COLUMNS[rollup]
    sums = {f"sum_{counter}": ExactSum(counter) for counter in rollup.counters}
    rows = ArchivedUsage.objects.filter(where).order_by().values_list(*columns).annotate(**sums)
    return {row[: len(columns)]: [int(count) for count in row[len(columns) :]] for row in rows}


def note(account: Account) -> str:
    """A sentence for call lists that names the archived periods; "" if there are none."""
    deleted = Archive.objects.filter(account_id=account.pk, deleted__gt=0).order_by("period")
    names = [f"{period:%Y-%m}" for period in deleted.values_list("period", flat=True)] if account.has_archive else []
    if not names:
        return ""
    span = names[0] if len(names) == 1 else f"{len(names)} periods ({names[0]} to {names[-1]})"
    return f"The calls of {span} are archived and not listed here. Totals and statements still include them."
