"""Applies corrections: changes the cost or provider of stored logs. Every correction is written by `apply`.

One transaction corrects some logs of one account: it locks the account, reads the logs, decides on each, and writes the
logs, their adjustments, the batch, and the rollups last. Recording only inserts, so it waits for no correction.
Correcting a closed period changes its logs but not its rollups: the adjustments count in the open period. A first detection
is no correction, so it does change the rollups of a closed period.
"""

from __future__ import annotations

from collections import Counter, namedtuple
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from billing.accounts import accounts
from billing.ledger import closed_periods, rollups
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from billing.models.usage import ProviderDisplay
from lib import bulk_update, retry

VALUE_COLUMNS = ("effective_nano", "is_priced", "voided_at", "usage_state", "unpriced_reason", "resolved")
PROVIDER_COLUMNS = ("actual_provider_name", "confidence", "detection_rule", "evidence")
_value_columns, _provider_columns = attrgetter(*VALUE_COLUMNS), attrgetter(*PROVIDER_COLUMNS)
# COUNTED_COLUMNS are what rollups and prices need of a log; CORRECTION_COLUMNS are what a correction needs.
COUNTED_COLUMNS = (
    *("account_id", "usage_day", "usage_period", "late_for", "timestamp", "received_at", "counts_at", *VALUE_COLUMNS),
    *("actual_provider_name", "confidence", "provider", "category", "model_used", "status_code", "response_time_ms"),
    *("tokens_input", "tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write"),
    *("units", "variant", "cached_included", "cost_source", "is_billable", "calls"),
    *("endpoint", "reading"),
)
_CountedColumns: Any = namedtuple("_CountedColumns", COUNTED_COLUMNS)  # type: ignore[misc]  # names from above
CORRECTION_COLUMNS = (
    *(*COUNTED_COLUMNS, "cost_total", "cost_input", "cost_output", "cost_other", "price_id"),
    *("detection_rule", "evidence", "served_by"),
)
ARCHIVED, BEING_ARCHIVED = "its period is archived", "its period is being archived"  # reasons to skip a log
Clock = Callable[[], datetime]  # the time of each transaction: a batch may run for hours
_UNDETECTED: dict[str, Any] = {"actual_provider_name": None, "confidence": ""}


class CountedLog(ProviderDisplay, _CountedColumns):
    """A log with the columns of COUNTED_COLUMNS, cheaper than a model instance."""

    __slots__ = ()

    def undetected(self) -> Any:  # noqa: ANN401 - as for the columns
        return self._replace(**_UNDETECTED)


class Correction(NamedTuple):
    """The new column values of one log, and what its adjustment records.

    An empty `kind` writes no adjustment: a first detection corrects nothing, nor does another reason why a call is unpriced.
    `reverts` is the adjustment to undo.
    """

    log: UsageLog
    kind: str
    values: dict[str, Any]
    details: dict[str, Any]
    reverts: UUID | None = None

    @property
    def delta_nano(self) -> int:
        """The change of the log's cost; valid only before `set_values`."""
        return int(self.values.get("effective_nano", self.log.effective_nano)) - self.log.effective_nano


class Skipped(NamedTuple):
    """Why a log cannot be corrected, as a clause."""

    reason: str


Decision = Correction | Skipped
Decide = Callable[[Sequence[UsageLog], Collection[date]], Iterable[Decision]]  # takes logs and closed periods


@dataclass(frozen=True, slots=True)
class CostChange:
    """The effect on one account: how many calls change, and their total before and after.

    `priced` calls had no price before; `unpriced` calls, changed or not, have none afterwards.
    """

    account: str
    calls: int = 0
    old_nano: int = 0
    new_nano: int = 0
    priced: int = 0
    unpriced: int = 0

    @property
    def delta_nano(self) -> int:
        return self.new_nano - self.old_nano

    def __add__(self, other: CostChange) -> CostChange:
        return CostChange(
            self.account,
            self.calls + other.calls,
            self.old_nano + other.old_nano,
            self.new_nano + other.new_nano,
            self.priced + other.priced,
            self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class CorrectionStep:
    """One committed transaction of a run: logs examined, their corrections, and skipped logs by reason.

    `failed` is the account whose logs were skipped because of an error, and the error.
    """

    examined: int
    change: CostChange
    skipped: Counter[str] = field(default_factory=Counter)
    corrections: Sequence[Correction] = ()
    failed: str = ""


class BatchClosed(Exception):
    """Another process finished or reverted the batch during this run; the run's last step is rolled back."""


def apply(
    account_id: int, ids: Collection[UUID], decide: Decide, *, batch: CorrectionBatch | None, clock: Clock
) -> CorrectionStep:
    """Correct logs of one account as `decide` says, and commit. Without a batch, only corrections of no kind are allowed.

    Raises BatchClosed.
    """
    return retry.on_deadlock(partial(_correct, account_id, ids, decide, batch, clock))


@transaction.atomic
def _correct(
    account_id: int, ids: Collection[UUID], decide: Decide, batch: CorrectionBatch | None, clock: Clock
) -> CorrectionStep:
    account = accounts.lock(account_id)
    at = clock()
    closed, sealed = closed_periods.closed_starts(account_id), closed_periods.sealed_starts(account_id)
    stored = list(_lock(UsageLog.objects.filter(id__in=ids, account_id=account_id)))
    logs = [log for log in stored if log.usage_period not in sealed]
    decisions = list(decide(logs, closed))
    corrections = [decision for decision in decisions if isinstance(decision, Correction)]
    skipped = Counter(decision.reason for decision in decisions if isinstance(decision, Skipped))
    skipped += Counter({ARCHIVED: len(ids) - len(stored), BEING_ARCHIVED: len(stored) - len(logs)})
    change = summarize(account.external_id, corrections)
    if corrections:
        _store(account, corrections, batch, closed, at)
    return CorrectionStep(len(logs), change, skipped, corrections)


def _lock(logs: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
    """Lock the rows too: first detections update logs of many accounts and lock no account."""
    no_key = connection.features.has_select_for_no_key_update
    return logs.select_for_update(no_key=no_key).order_by("id").only(*CORRECTION_COLUMNS)


def set_values(correction: Correction) -> None:
    """Set the corrected values on the log in memory."""
    for name, value in correction.values.items():
        setattr(correction.log, name, value)


def value_as_json(log: UsageLog) -> dict[str, Any]:
    """The log's cost and state as the `before` of an adjustment's details."""
    return {
        "nano": log.effective_nano,
        "priced": log.is_priced,
        "unpriced_reason": log.unpriced_reason,
        "usage_state": log.usage_state,
    }


def summarize(account: str, corrections: Iterable[Correction]) -> CostChange:
    """Sum the corrections of one account; valid only before `set_values`."""
    change = CostChange(account)
    for correction in corrections:
        log = correction.log
        priced, old = correction.values.get("is_priced", log.is_priced), log.effective_nano
        new = old + correction.delta_nano
        change += CostChange(
            account, int(correction.kind != ""), old, new, int(priced and not log.is_priced), int(not priced)
        )
    return change


def _store(
    account: Account,
    corrections: Sequence[Correction],
    batch: CorrectionBatch | None,
    closed: Collection[date],
    at: datetime,
) -> None:
    """Write in the fixed lock order: logs, adjustments, batch, rollups."""
    counted = [item.log for item in corrections if not item.kind or item.log.usage_period not in closed]
    before = rollups.totals_by_rollup(counted)
    open_period = closed_periods.first_open_period(account, closed, at)
    adjusted = [
        (item, _adjustment(item, batch, closed, open_period, at)) for item in corrections if batch and item.kind
    ]
    _update_logs(corrections)
    UsageAdjustment.objects.bulk_create([adjustment for _, adjustment in adjusted], batch_size=500)
    _mark_reverted([(adjustment.id, item.reverts, account.pk) for item, adjustment in adjusted if item.reverts])
    if batch and adjusted:
        _add_to_batch(batch, len(adjusted), sum(adjustment.delta_nano for _, adjustment in adjusted))
    rollups.apply(rollups.subtract(rollups.totals_by_rollup(counted), before))


def _adjustment(
    correction: Correction, batch: CorrectionBatch, closed: Collection[date], open_period: date, at: datetime
) -> UsageAdjustment:
    log, period = correction.log, correction.log.usage_period
    late = period in closed
    return UsageAdjustment(
        account_id=log.account_id,
        log_id=log.id,
        kind=correction.kind,
        delta_nano=correction.delta_nano,
        reason=batch.reason,
        actor=batch.actor,
        batch=batch.id,
        period=open_period if late else period,
        corrects_period=period,
        details=correction.details,
        created_at=at,
        late_at=at if late else None,
        counts_at=rollups.counting_time(correction.log),
    )


def _update_logs(corrections: Sequence[Correction]) -> None:
    """Update values log by log, and providers by one UPDATE for each of the few distinct results."""
    rows: list[tuple[Any, ...]] = []
    ids_by_provider: dict[tuple[Any, ...], list[UUID]] = {}
    for correction in corrections:
        set_values(correction)
        log, names = correction.log, correction.values.keys()
        if not names.isdisjoint(VALUE_COLUMNS):
            rows.append((*_value_columns(log), log.id, log.account_id))
        if not names.isdisjoint(PROVIDER_COLUMNS):
            ids_by_provider.setdefault(_provider_columns(log), []).append(log.id)
    bulk_update.update(connection, UsageLog, VALUE_COLUMNS, ("id", "account_id"), rows)
    for values, ids in ids_by_provider.items():
        UsageLog.objects.filter(id__in=ids).update(**dict(zip(PROVIDER_COLUMNS, values, strict=True)))


def _mark_reverted(reverts: Sequence[tuple[UUID, UUID, int]]) -> None:
    """Set `reverted_by`, by rows of (revert, reverted adjustment, account). Raises BatchClosed if it is already set."""
    columns, keys = ("reverted_by",), ("id", "account_id")
    updated = bulk_update.update(connection, UsageAdjustment, columns, keys, reverts, only_if_null="reverted_by")
    if updated != len(reverts):
        raise BatchClosed


def _add_to_batch(batch: CorrectionBatch, logs: int, delta_nano: int) -> None:
    """Count in the transaction of the logs, so that the batch's figures are always exact. Raises BatchClosed."""
    if batch.finished_at is not None:  # the batch of a single correction is created with it
        batch.logs, batch.delta_nano = logs, delta_nano
        batch.save(force_insert=True)
        return
    running = CorrectionBatch.objects.filter(pk=batch.pk, finished_at=None)
    if not running.update(logs=F("logs") + logs, delta_nano=F("delta_nano") + delta_nano):
        raise BatchClosed
