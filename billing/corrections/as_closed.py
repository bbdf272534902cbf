"""Logs as they were when their period was closed; the rollups of closed periods equal these.

A correction after closing changes the log but not the rollup. Few logs are corrected so late, so they are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import Q

from billing.charges import charge_history
from billing.corrections.apply_corrections import CORRECTION_COLUMNS
from billing.ledger import rollups
from billing.ledger.rollups import Rollup, Totals
from billing.models import UsageAdjustment, UsageLog
from lib import keyset

PAGE_SIZE = 2_000


def missing_totals(rollup: Rollup, where: Q) -> Totals:
    """What to add to the sums of the current logs matching `where` to get their rollup."""
    totals: Totals = {}
    for logs in _corrected_late(where):
        current = rollups.totals_by_rollup(logs)
        restore(logs)
        for key, missing in rollups.subtract(rollups.totals_by_rollup(logs), current)[rollup].items():
            totals[key] = [a + b for a, b in zip(totals.get(key, [0] * len(missing)), missing, strict=True)]
    return totals


def _corrected_late(where: Q) -> Iterator[list[UsageLog]]:
    late = UsageAdjustment.objects.filter(where, late_at__isnull=False, log__isnull=False)
    ids = late.values_list("log_id", flat=True).distinct()
    for page in keyset.iter_pages(ids, size=PAGE_SIZE, key="log_id"):
        yield list(UsageLog.objects.filter(where, id__in=page).only(*CORRECTION_COLUMNS))


def restore(logs: Sequence[UsageLog]) -> None:
    """Set the logs in memory to their state at closing: the original cost, then the adjustments made before closing."""
    by_log: dict[UUID | None, list[UsageAdjustment]] = {log.id: [] for log in logs}
    accounts = {log.account_id for log in logs}
    adjustments = UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=by_log)
    for adjustment in adjustments.order_by("id"):
        by_log[adjustment.log_id].append(adjustment)
    for log in logs:
        _replay(log, by_log[log.id])


def _replay(log: UsageLog, adjustments: Sequence[UsageAdjustment]) -> None:
    value, early = charge_history.original_value(log), [row for row in adjustments if row.late_at is None]
    for effect in charge_history.correction_effects(log, early):
        value = effect.after
    log.effective_nano, log.is_priced = value.nano, value.priced
    log.voided_at = log.received_at if value.voided else None  # only null or not null matters here
    if any(row.late_at is not None and "resolved" in row.details for row in adjustments):
        log.resolved = next((row.details["resolved"] for row in reversed(early) if "resolved" in row.details), None)
    late = (row.details.get("before", {}) for row in adjustments if row.late_at is not None)
    log.usage_state = next((before["usage_state"] for before in late if "usage_state" in before), log.usage_state)
