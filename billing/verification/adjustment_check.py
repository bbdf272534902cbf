"""Checks of adjustments and correction batches: what they refer to exists and agrees, and their figures add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from billing.charges.charge_history import RATING_KINDS
from billing.ledger import rollups
from billing.models import Account, ArchivedEvent, ClosedPeriod, CorrectionBatch, UsageAdjustment, UsageLog
from billing.verification import scans
from billing.verification.differences import CheckedPart, CheckedRow, Pairs, compare
from lib import periods
from lib.periods import Schedule

AdjustmentKind = UsageAdjustment.Kind
ADJUSTMENTS, BATCHES = UsageAdjustment._meta.db_table, CorrectionBatch._meta.db_table
PAGE_SIZE = 1_000  # adjustments, or batches
PARTS = ("input", "output", "other")
LOG_COLUMNS = ("id", "usage_period", "timestamp", "received_at", "late_for", "counts_at")
Key = tuple[int, UUID]  # account, log

next_adjustments = scans.id_pages(UsageAdjustment.objects.all(), size=PAGE_SIZE)
next_batches = scans.id_pages(CorrectionBatch.objects.all(), size=PAGE_SIZE)


class _References:
    """What the adjustments of a page refer to."""

    def __init__(self, page: Sequence[UsageAdjustment]) -> None:
        self.page = page

    @cached_property
    def logs(self) -> dict[UUID, UsageLog]:
        rows = scans.find_pairs(UsageLog.objects.only("account_id", *LOG_COLUMNS), "id", self._log_keys)
        return {log.id: log for log in rows}

    @cached_property
    def archived(self) -> dict[UUID | None, date]:
        """The period of each archived log."""
        missing = (key for key in self._log_keys if key[1] not in self.logs)
        return {event.log: event.period for event in scans.find_pairs(ArchivedEvent.objects.all(), "log", missing)}

    @property
    def _log_keys(self) -> Iterable[tuple[int, UUID | None]]:
        return ((adjustment.account_id, adjustment.log_id) for adjustment in self.page)

    @cached_property
    def batches(self) -> dict[UUID, CorrectionBatch]:
        return CorrectionBatch.objects.in_bulk({row.batch for row in self.page if row.batch is not None})

    @cached_property
    def related(self) -> dict[UUID, UsageAdjustment]:
        """The reverts of the page's adjustments, and the adjustments that its reverts undo."""
        targets = [(row.account_id, row.reverted_by) for row in self.page]
        targets += [(row.account_id, _reverted_id(row)) for row in self.page]
        return {row.id: row for row in scans.find_pairs(UsageAdjustment.objects.all(), "id", targets)}

    @cached_property
    def accounts(self) -> dict[int, Account]:
        return Account.objects.in_bulk({row.account_id for row in self.page})

    @cached_property
    def closed(self) -> dict[int, set[date]]:
        closed: dict[int, set[date]] = {}
        rows = ClosedPeriod.objects.filter(account_id__in=self.accounts).values_list("account_id", "period")
        for account_id, period in rows:
            closed.setdefault(account_id, set()).add(period)
        return closed


def _reverted_id(adjustment: UsageAdjustment) -> UUID | None:
    reverts = adjustment.details.get("reverts") if adjustment.kind == AdjustmentKind.REVERT else None
    return UUID(reverts) if reverts else None


def compare_adjustments(page: Sequence[UsageAdjustment]) -> CheckedPart:
    """Each adjustment, against its log or archived event, its batch, the periods, and the adjustment that it reverts."""
    references = _References(page)
    return compare(CheckedRow(ADJUSTMENTS, (row.id,), dict(_adjustment_pairs(row, references))) for row in page)


def _adjustment_pairs(row: UsageAdjustment, known: _References) -> Iterator[tuple[str, tuple[object, object]]]:
    yield from _log_pairs(row, known)
    yield from _period_pairs(row, known)
    yield from _delta_pairs(row)
    yield from _revert_pairs(row, known)
    batch = known.batches.get(row.batch) if row.batch else None
    if row.batch:
        yield "batch", (row.batch, batch.id if batch else None)
    if batch:
        yield from {name: (getattr(row, name), getattr(batch, name)) for name in ("kind", "reason", "actor")}.items()


def _log_pairs(row: UsageAdjustment, known: _References) -> Iterator[tuple[str, tuple[object, object]]]:
    if row.log_id is None:
        return
    log, archived = known.logs.get(row.log_id), known.archived.get(row.log_id)
    if log is not None:
        yield "corrects_period", (row.corrects_period, log.usage_period)
        yield "counts_at", (row.counts_at, row.counts_at and rollups.counting_time(log))
    elif archived is not None:
        yield "corrects_period", (row.corrects_period, archived)
    else:
        yield "log_id", (row.log_id, None)


def _period_pairs(row: UsageAdjustment, known: _References) -> Iterator[tuple[str, tuple[object, object]]]:
    """A correction of a closed period counts in the first open period from its time on."""
    account = known.accounts.get(row.account_id)
    yield "account_id", (row.account_id, account.pk if account else None)
    if row.late_at is None or account is None:
        yield "period", (row.period, row.corrects_period)
        return
    closed = known.closed.get(account.pk, set())
    yield "late_at", (row.late_at, row.created_at if row.corrects_period in closed else None)
    if periods.is_known(account.schedule):
        yield "period", (row.period, _late_period(row.period, account.schedule, closed, row.created_at))


def _late_period(stored: date, schedule: Schedule, closed: set[date], at: datetime) -> date:
    """The stored period if it is the period of `at`, or one after closed periods; else the period of `at`."""
    period = periods.period_start(schedule, periods.local_day(schedule, at))
    while period < stored and period in closed:
        period = periods.next_period_start(schedule, period)
    return period


def _delta_pairs(row: UsageAdjustment) -> Iterator[tuple[str, tuple[object, object]]]:
    before = row.details.get("before", {}).get("nano")
    if row.kind == AdjustmentKind.VOID and before is not None:
        yield "delta_nano", (row.delta_nano, -before)
    elif row.kind in RATING_KINDS and before is not None and row.details.keys() >= set(PARTS):
        yield "delta_nano", (row.delta_nano, sum(row.details[part] for part in PARTS) - before)
    elif row.kind == AdjustmentKind.REDETECT:
        yield "delta_nano", (row.delta_nano, 0)


def _revert_pairs(row: UsageAdjustment, known: _References) -> Iterator[tuple[str, tuple[object, object]]]:
    if row.reverted_by is not None:
        revert = known.related.get(row.reverted_by)
        reverts = revert is not None and revert.kind == AdjustmentKind.REVERT and _reverted_id(revert) in (None, row.id)
        yield "reverted_by", (row.reverted_by, row.reverted_by if reverts else None)
    reverted_id = _reverted_id(row)
    if reverted_id is None:
        return
    target = known.related.get(reverted_id)
    yield "details.reverts", (reverted_id, target.id if target and target.reverted_by == row.id else None)
    if target:
        yield "details.kind", (row.details.get("kind"), target.kind)
        yield "log_id", (row.log_id, target.log_id)
        yield "delta_nano", (row.delta_nano, -target.delta_nano)


def compare_batches(page: Sequence[CorrectionBatch]) -> CheckedPart:
    """The number of logs and the change in nano-USD of each batch, against its adjustments."""
    adjustments = UsageAdjustment.objects.filter(batch__in=[batch.id for batch in page]).order_by()
    rows = adjustments.values_list("batch").annotate(logs=Count("id"), delta=Sum("delta_nano"))
    sums: Mapping[Any, tuple[int, int]] = {batch: (logs, int(delta)) for batch, logs, delta in rows}
    reverted = _reverting_batches([batch for batch in page if batch.reverted_at])
    return compare(CheckedRow(BATCHES, (batch.id,), _batch_pairs(batch, sums, reverted)) for batch in page)


def _batch_pairs(batch: CorrectionBatch, sums: Mapping[Any, tuple[int, int]], reverted: set[str]) -> Pairs:
    logs, delta_nano = sums.get(batch.id, (0, 0))
    has_revert = batch.reverted_at is None or str(batch.id) in reverted
    return {
        "logs": (batch.logs, logs),
        "delta_nano": (batch.delta_nano, delta_nano),
        "reverted_at": (batch.reverted_at, batch.reverted_at if has_revert else None),
    }


def _reverting_batches(batches: Sequence[CorrectionBatch]) -> set[str]:
    """The ids of those batches that a later batch reverts."""
    if not batches:
        return set()
    since = min(batch.created_at for batch in batches)
    reverts = CorrectionBatch.objects.filter(kind=AdjustmentKind.REVERT, created_at__gte=since)
    return {str(choice["batch"]) for choice in reverts.values_list("choice", flat=True) if "batch" in choice}
