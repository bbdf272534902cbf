"""Correcting what is recorded, as new facts: voids, the batches that corrections belong to, and the revert of either.

Called by the API, the admin and the commands. Pricing again and naming again decide in repricing.py and backfill.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.corrections import apply_corrections
from billing.corrections.apply_corrections import Correction, Decision, Skipped, Step
from billing.errors import Refused
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog

Kind = UsageAdjustment.Kind
REASON = 500  # characters
MAY_CORRECT = "billing.add_usageadjustment"  # of staff; a key needs the scope manage


class NotReverted(Exception):
    """The correction cannot be undone; the message says why."""


def void(log: UsageLog, *, reason: str, actor: str, at: datetime) -> Step:
    """The call counts no more: it is worth 0, and stands in no total. A second time changes nothing.

    Raises Refused where its period is archived, or about to be.
    """
    batch = CorrectionBatch(kind=Kind.VOID, reason=reason, actor=actor, choice={"log": str(log.id)})
    step = _alone(log.account_id, log.id, partial(_void, at), batch=batch, at=at)
    if apply_corrections.ARCHIVED in step.skipped:
        raise Refused("archived", "Its period is archived: nothing of it is corrected any more.")
    return step


def revert_one(adjustment: UsageAdjustment, *, reason: str, actor: str, at: datetime) -> Step:
    """Undo one correction, by another one. Raises NotReverted where it is not the last of its sort that stands."""
    if adjustment.log_id is None:
        raise NotReverted("It corrects no single call.")
    choice = {"adjustment": str(adjustment.id)}
    batch = CorrectionBatch(kind=Kind.REVERT, reason=reason, actor=actor, choice=choice)
    step = _alone(adjustment.account_id, adjustment.log_id, partial(_undo, {adjustment.id}), batch=batch, at=at)
    if step.skipped:
        raise NotReverted(f"It is {next(iter(step.skipped))}.")
    return step


def start(*, kind: Kind, choice: dict[str, Any], reason: str, actor: str, at: datetime) -> CorrectionBatch:
    """A batch for this choice: the unfinished one, where a run for the same was stopped or killed, else a new one."""
    for batch in CorrectionBatch.objects.filter(kind=kind, finished_at=None):
        if batch.choice == choice:
            return batch
    return CorrectionBatch.objects.create(kind=kind, choice=choice, reason=reason, actor=actor, created_at=at)


def finish(batch: CorrectionBatch, *, skipped: int, at: datetime) -> None:
    """Nothing is left to correct. `skipped` is what this run went past; it went past all that an earlier one did."""
    CorrectionBatch.objects.filter(pk=batch.pk, finished_at=None).update(finished_at=at, skipped=skipped)
    batch.refresh_from_db()


def revert(batch: CorrectionBatch, *, actor: str, size: int, at: datetime) -> Iterator[Step]:
    """Undo what stands of a batch, `size` logs a step; each step is committed. Stopped and asked for again, it goes on.

    Nothing more is added to an unfinished batch from now on. Raises NotReverted for the revert of another one.
    """
    if batch.kind == Kind.REVERT:
        raise NotReverted("A revert is not reverted: correct again instead.")
    return _revert(batch, actor, size, at)


def _revert(batch: CorrectionBatch, actor: str, size: int, at: datetime) -> Iterator[Step]:
    CorrectionBatch.objects.filter(pk=batch.pk, finished_at=None).update(finished_at=at)
    batch.refresh_from_db()
    if batch.reverted_at is not None:
        return
    reason = f"Revert: {batch.reason}"[:REASON]
    undo = start(kind=Kind.REVERT, choice={"batch": str(batch.id)}, reason=reason, actor=actor, at=at)
    skipped: Counter[str] = Counter()
    for account_id, wanted in _standing_of(batch, size):
        plan = partial(_undo, set(wanted.values()))
        step = apply_corrections.apply(account_id, wanted, plan, batch=undo, at=at)
        skipped += step.skipped
        yield step
    with transaction.atomic():
        finish(undo, skipped=skipped.total(), at=at)
        batch.reverted_at = at
        batch.save(update_fields=["reverted_at"])


def _standing_of(batch: CorrectionBatch, size: int) -> Iterator[tuple[int, dict[UUID, UUID]]]:
    """The batch's adjustments that nothing has undone, by account and log, newest first; no log twice in one part."""
    own = UsageAdjustment.objects.filter(batch=batch.id, reverted_by=None, log__isnull=False)
    for account_id in list(own.order_by("account_id").values_list("account_id", flat=True).distinct()):
        older = own.filter(account_id=account_id).order_by("-id")
        rest = older
        while page := list(rest.values_list("id", "log_id")[:size]):
            part: dict[UUID, UUID] = {}
            for id_, log_id in page:
                if log_id in part:  # the price changed while the batch ran: the later correction goes first
                    break
                part[log_id] = last = id_
            yield account_id, part
            rest = older.filter(id__lt=last)


def _alone(
    account_id: int, log_id: UUID, plan: apply_corrections.Plan, *, batch: CorrectionBatch, at: datetime
) -> Step:
    """One log corrected by itself, as a batch of its own that is over at once."""
    batch.created_at = batch.finished_at = at
    return apply_corrections.apply(account_id, [log_id], plan, batch=batch, at=at)


def _void(at: datetime, logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Decision]:
    for log in logs:
        if log.voided_at is None:
            before = {"before": {"nano": log.effective_nano}}
            yield Correction(log, Kind.VOID, {"effective_nano": 0, "voided_at": at}, before)
        else:
            yield Skipped("voided already")


def _undo(wanted: Collection[UUID], logs: Sequence[UsageLog], closed: Collection[date]) -> Iterator[Decision]:
    """Undo one of the wanted adjustments of each log, where it is the last of its sort that stands."""
    standing: dict[UUID, list[UsageAdjustment]] = {log.id: [] for log in logs}
    accounts = {log.account_id for log in logs}
    for one in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=standing, reverted_by=None):
        standing[one.log_id].append(one)  # type: ignore[index]  # filtered by the log
    for log in logs:
        yield _undone(log, sorted(standing[log.id], key=lambda one: one.id), wanted, closed)


def _undone(
    log: UsageLog, standing: Sequence[UsageAdjustment], wanted: Collection[UUID], closed: Collection[date]
) -> Decision:
    mine = next((one for one in standing if one.id in wanted), None)
    if mine is None:
        return Skipped("reverted already")
    if mine.kind not in UNDO:
        return Skipped("nothing that is reverted: correct again instead")
    if any(one.kind == mine.kind and one.id > mine.id for one in standing):
        return Skipped("not the last of its sort: another one came after it")
    undone = UNDO[mine.kind](log, mine, closed)
    if isinstance(undone, Skipped):
        return undone
    values, details = undone
    details = {"reverts": str(mine.id), "kind": mine.kind, **details}
    return Correction(log, Kind.REVERT, values, details, reverts=mine.id)


Undone = tuple[dict[str, Any], dict[str, Any]] | Skipped  # the log's columns, and what the adjustment tells


def _unvoided(log: UsageLog, mine: UsageAdjustment, _closed: Collection[date]) -> Undone:
    return {"effective_nano": log.effective_nano - mine.delta_nano, "voided_at": None}, {}


def _unrepriced(log: UsageLog, mine: UsageAdjustment, _closed: Collection[date]) -> Undone:
    if log.voided_at is not None:
        return Skipped("of a voided call: revert the void first")
    priced = mine.details["before"]["priced"]
    values = {"effective_nano": log.effective_nano - mine.delta_nano, "is_priced": priced}
    return values, {"priced": priced, "before": {"nano": log.effective_nano, "priced": log.is_priced}}


def _unnamed(log: UsageLog, mine: UsageAdjustment, closed: Collection[date]) -> Undone:
    if log.usage_period in closed:
        return Skipped("of a closed period")
    before = mine.details.get("before")
    if before is None or log.actual_provider_name != mine.details["to"]:
        return Skipped("not what named the provider last")
    values = {
        "actual_provider_name": mine.details["from"],
        "confidence": before["confidence"],
        "detection_rule": before["rule"],
        "evidence": before["evidence"],
    }
    return values, {"from": mine.details["to"], "to": mine.details["from"], "rule": before["rule"]}


UNDO: dict[str, Callable[[UsageLog, UsageAdjustment, Collection[date]], Undone]] = {
    Kind.VOID: _unvoided,
    Kind.REPRICE: _unrepriced,
    Kind.REDETECT: _unnamed,
}
