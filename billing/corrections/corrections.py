"""Voids, correction batches, and the revert of a batch or of a single correction.

repricing.py and redetection.py hold the rules of the two other kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from billing.corrections import apply_corrections
from billing.corrections.apply_corrections import Clock, Correction, CorrectionStep, Decision, Skipped
from billing.corrections.batch_pass import ACCOUNT_FAILED, BatchPass
from billing.errors import Refused
from billing.models import Account, CorrectionBatch, UnpricedReason, UsageAdjustment, UsageLog
from lib import retry

AdjustmentKind = UsageAdjustment.Kind
MAX_REASON_LENGTH = 500  # characters
VOIDED = "the call is voided; revert the void first"  # reasons to skip a log
FINAL = "a correction of this kind is final; correct the call again instead"
RESOLVED = "the call got its real usage since"
CORRECTED_AGAIN = "a later correction of the same kind exists; revert that one first"
# Reasons that may pass, so that the revert of a batch is not complete.
OPEN_REASONS = frozenset({ACCOUNT_FAILED, VOIDED, CORRECTED_AGAIN, apply_corrections.BEING_ARCHIVED})
ARCHIVED_REFUSAL = ("archived", "The period is archived; its calls can no longer be corrected.")
CORRECT_PERMISSION = "billing.add_usageadjustment"  # for staff; an API key needs the scope manage


class NotReverted(Exception):
    """The correction cannot be reverted; the message says why."""


def void(log: UsageLog, *, reason: str, actor: str, at: datetime) -> CorrectionStep:
    """Set the call's cost to 0 and remove it from all totals. Voiding it again changes nothing.

    Raises Refused if its period is archived or being archived.
    """
    batch = CorrectionBatch(kind=AdjustmentKind.VOID, reason=reason, actor=actor, choice={"log": str(log.id)})
    step = correct_single(log.account_id, log.id, partial(_decide_void, at), batch=batch, at=at)
    if step.skipped.keys() & {apply_corrections.ARCHIVED, apply_corrections.BEING_ARCHIVED}:
        raise Refused(*ARCHIVED_REFUSAL)
    return step


def void_logs(account_id: int, ids: Collection[UUID], *, batch: CorrectionBatch, clock: Clock) -> CorrectionStep:
    """Void logs of one account as a part of `batch`, and commit. Voided logs are skipped. Raises BatchClosed."""
    return apply_corrections.apply(account_id, ids, partial(_decide_void, clock()), batch=batch, clock=clock)


def revert_adjustment(adjustment: UsageAdjustment, *, reason: str, actor: str, at: datetime) -> CorrectionStep:
    """Revert one correction by a new one. Raises NotReverted unless it is the last active one of its kind."""
    if adjustment.log_id is None:
        raise NotReverted("This adjustment does not belong to a single call.")
    choice = {"adjustment": str(adjustment.id)}
    batch = CorrectionBatch(kind=AdjustmentKind.REVERT, reason=reason, actor=actor, choice=choice)
    step = correct_single(
        adjustment.account_id, adjustment.log_id, partial(_decide_reverts, {adjustment.id}), batch=batch, at=at
    )
    if step.skipped:
        raise NotReverted(f"The correction cannot be reverted: {next(iter(step.skipped))}.")
    return step


def start(*, kind: AdjustmentKind, choice: dict[str, Any], reason: str, actor: str, at: datetime) -> CorrectionBatch:
    """Return the unfinished batch of a stopped or killed run with the same choice, else a new batch.

    A batch that only waits for accounts that failed is not continued, except a revert: it would examine no other account.
    """
    for batch in CorrectionBatch.objects.filter(kind=kind, finished_at=None):
        if batch.choice == choice and (kind == AdjustmentKind.REVERT or not batch.failed_accounts):
            return batch
    return CorrectionBatch.objects.create(kind=kind, choice=choice, reason=reason, actor=actor, created_at=at)


def revert(batch: CorrectionBatch, *, actor: str, size: int, clock: Clock) -> Iterator[CorrectionStep]:
    """Revert the active corrections of a batch, `size` logs per step; each step is committed when it is yielded.

    A stopped revert continues when it is started again. An unfinished batch is closed first. The batch is reverted when no
    correction is left that a later revert could undo; until then, it can be reverted again.
    Raises NotReverted if the batch is a revert itself.
    """
    if batch.kind == AdjustmentKind.REVERT:
        raise NotReverted("A revert cannot be reverted; correct the calls again instead.")
    return _revert_steps(batch, actor, size, clock)


def _revert_steps(batch: CorrectionBatch, actor: str, size: int, clock: Clock) -> Iterator[CorrectionStep]:
    CorrectionBatch.objects.filter(pk=batch.pk, finished_at=None).update(finished_at=clock())
    batch.refresh_from_db()
    if batch.reverted_at is not None:
        return
    reason = f"Revert: {batch.reason}"[:MAX_REASON_LENGTH]
    choice = {"batch": str(batch.id)}
    revert_batch = start(kind=AdjustmentKind.REVERT, choice=choice, reason=reason, actor=actor, at=clock())
    current = BatchPass(revert_batch, whole=True)
    for account, adjustment_by_log in _unreverted_pages(batch, size):
        decide = partial(_decide_reverts, set(adjustment_by_log.values()))
        work = partial(apply_corrections.apply, account.pk, adjustment_by_log, decide, batch=revert_batch, clock=clock)
        yield current.step(account.external_id, len(adjustment_by_log), work)
    _finish_revert(batch, current, clock())


@retry.atomic
def _finish_revert(batch: CorrectionBatch, current: BatchPass, at: datetime) -> None:
    current.finish(at)
    if OPEN_REASONS.isdisjoint(current.skips):
        batch.reverted_at = at
        batch.save(update_fields=["reverted_at"])


def _unreverted_pages(batch: CorrectionBatch, size: int) -> Iterator[tuple[Account, dict[UUID, UUID]]]:
    """The batch's active adjustments as (account, {log: adjustment}), newest first; no log twice in one page."""
    active = UsageAdjustment.objects.filter(batch=batch.id, reverted_by=None, log__isnull=False)
    account_ids = list(active.order_by("account_id").values_list("account_id", flat=True).distinct())
    for account_id in account_ids:
        account = Account.objects.only("external_id").get(pk=account_id)
        of_account = active.filter(account=account).order_by("-id")
        rest = of_account
        while rows := list(rest.values_list("id", "log_id")[:size]):
            page: dict[UUID, UUID] = {}
            for id_, log_id in rows:
                if log_id in page:  # re-priced twice, as the price changed during the run: revert the later one first
                    break
                page[log_id] = last = id_
            yield account, page
            rest = of_account.filter(id__lt=last)


def correct_single(
    account_id: int, log_id: UUID, decide: apply_corrections.Decide, *, batch: CorrectionBatch, at: datetime
) -> CorrectionStep:
    """Correct one log in a finished batch of its own."""
    batch.created_at = batch.finished_at = at
    return apply_corrections.apply(account_id, [log_id], decide, batch=batch, clock=lambda: at)


def _decide_void(at: datetime, logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Decision]:
    for log in logs:
        if log.voided_at is None:
            before = {"before": {"nano": log.effective_nano}}
            yield Correction(log, AdjustmentKind.VOID, {"effective_nano": 0, "voided_at": at}, before)
        else:
            yield Skipped("the call is already voided")


def _decide_reverts(
    targets: Collection[UUID], logs: Sequence[UsageLog], closed: Collection[date]
) -> Iterator[Decision]:
    """Revert one of the target adjustments of each log, if it is the last active one of its kind."""
    active: dict[UUID, list[UsageAdjustment]] = {log.id: [] for log in logs}
    accounts = {log.account_id for log in logs}
    for adjustment in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=active, reverted_by=None):
        active[adjustment.log_id].append(adjustment)  # type: ignore[index]  # filtered by the log
    for log in logs:
        yield _decide_revert(log, sorted(active[log.id], key=lambda adjustment: adjustment.id), targets, closed)


def _decide_revert(
    log: UsageLog, active: Sequence[UsageAdjustment], targets: Collection[UUID], closed: Collection[date]
) -> Decision:
    target = next((adjustment for adjustment in active if adjustment.id in targets), None)
    if target is None:
        return Skipped("it is already reverted")
    if target.kind not in REVERTERS:
        return Skipped(FINAL)
    later = {adjustment.kind for adjustment in active if adjustment.id > target.id}
    if target.kind in later or (target.kind == AdjustmentKind.RESOLVE and AdjustmentKind.REPRICE in later):
        return Skipped(CORRECTED_AGAIN)
    if target.kind == AdjustmentKind.REPRICE and AdjustmentKind.RESOLVE in later:
        return Skipped(RESOLVED)
    reverted = REVERTERS[target.kind](log, target, closed)
    if isinstance(reverted, Skipped):
        return reverted
    values, details = reverted
    details = {"reverts": str(target.id), "kind": target.kind, **details}
    return Correction(log, AdjustmentKind.REVERT, values, details, reverts=target.id)


RevertedValues = tuple[dict[str, Any], dict[str, Any]] | Skipped  # the log's columns, the adjustment's details


def _revert_void(log: UsageLog, void: UsageAdjustment, _closed: Collection[date]) -> RevertedValues:
    return {"effective_nano": log.effective_nano - void.delta_nano, "voided_at": None}, {}


def _revert_reprice(log: UsageLog, reprice: UsageAdjustment, _closed: Collection[date]) -> RevertedValues:
    if log.voided_at is not None:
        return Skipped(VOIDED)
    before = reprice.details["before"]
    reason = None if before["priced"] else before.get("unpriced_reason") or UnpricedReason.PRICE_UNKNOWN.value
    state = before.get("usage_state", log.usage_state)
    values = {
        "effective_nano": log.effective_nano - reprice.delta_nano,
        "is_priced": before["priced"],
        "unpriced_reason": reason,
        "usage_state": state,
    }
    after = {"priced": before["priced"], "unpriced_reason": reason, "usage_state": state}
    return values, {**after, "before": apply_corrections.value_as_json(log)}


def _revert_resolve(log: UsageLog, resolve: UsageAdjustment, closed: Collection[date]) -> RevertedValues:
    """Revert what followed from a decision on unread fields; a stated usage or cost stays."""
    if "unread_fields" not in resolve.details:
        return Skipped(FINAL)
    reverted = _revert_reprice(log, resolve, closed)
    if isinstance(reverted, Skipped) or "resolved" not in resolve.details:
        return reverted
    values, details = reverted
    return {**values, "resolved": None}, {**details, "resolved": None}


def _revert_redetect(log: UsageLog, redetect: UsageAdjustment, closed: Collection[date]) -> RevertedValues:
    if log.usage_period in closed:
        return Skipped("the period is closed")
    before = redetect.details.get("before")
    if before is None or log.actual_provider_name != redetect.details["to"]:
        return Skipped("the provider was changed again since")
    values = {
        "actual_provider_name": redetect.details["from"],
        "confidence": before["confidence"],
        "detection_rule": before["rule"],
        "evidence": before["evidence"],
    }
    return values, {"from": redetect.details["to"], "to": redetect.details["from"], "rule": before["rule"]}


REVERTERS: dict[str, Callable[[UsageLog, UsageAdjustment, Collection[date]], RevertedValues]] = {
    AdjustmentKind.VOID: _revert_void,
    AdjustmentKind.REPRICE: _revert_reprice,
    AdjustmentKind.RESOLVE: _revert_resolve,
    AdjustmentKind.REDETECT: _revert_redetect,
}
