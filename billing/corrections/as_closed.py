"""What the rollups of closed periods must say: the log as it stood when its period was closed. Asked by the ledger's check.

A later correction moves the log alone. Few logs are corrected so late, so these are read one by one, beside the sums of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from django.db.models import Q

from billing.charges import charge_history
from billing.corrections.apply_corrections import NEEDED
from billing.ledger import rollups
from billing.ledger.rollups import Rollup, Totals
from billing.models import UsageAdjustment, UsageLog

PAGE = 2_000


def as_closed(rollup: Rollup, where: Q) -> Totals:
    """What is missing from the sums of the logs as they are now, where `where` holds."""
    totals: Totals = {}
    for logs in _corrected_late(where):
        now = rollups.group(logs)
        restore(logs)
        for key, missing in rollups.minus(rollups.group(logs), now)[rollup].items():
            totals[key] = [a + b for a, b in zip(totals.get(key, [0] * len(missing)), missing, strict=True)]
    return totals


def _corrected_late(where: Q) -> Iterator[list[UsageLog]]:
    late = UsageAdjustment.objects.filter(where, late_at__isnull=False, log__isnull=False)
    ids = late.order_by("log_id").values_list("log_id", flat=True).distinct()
    rest = ids
    while page := list(rest[:PAGE]):
        yield list(UsageLog.objects.filter(where, id__in=page).only(*NEEDED))
        rest = ids.filter(log_id__gt=page[-1])


def restore(logs: Sequence[UsageLog]) -> None:
    """The logs in memory as they stood: their own cost, and the adjustments of before the closing in their order."""
    earlier: dict[UUID | None, list[UsageAdjustment]] = {log.id: [] for log in logs}
    accounts = {log.account_id for log in logs}
    found = UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=earlier, late_at=None)
    for adjustment in found.order_by("id"):
        earlier[adjustment.log_id].append(adjustment)
    for log in logs:
        _replay(log, earlier[log.id])


def _replay(log: UsageLog, adjustments: Iterable[UsageAdjustment]) -> None:
    stood = charge_history.original_value(log)
    for step in charge_history.history(log, adjustments):
        stood = step.after
    log.effective_nano, log.is_priced = stood.nano, stood.priced
    log.voided_at = log.received_at if stood.voided else None  # when does not matter here
