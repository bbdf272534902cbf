"""Completes calls whose unread fields are all decided, as a correction batch for each decision.

A mapped number is added to its unit, and the call rated by the price of its day; where only informational numbers were unread,
the cost stays as it was read. A cost that the caller or the vendor stated stays too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from django.db.models import QuerySet

from billing.charges import charge_history, rating, unread_decisions
from billing.charges.rating import RatingSnapshot
from billing.corrections import apply_corrections, corrections, resolution
from billing.corrections.apply_corrections import (
    CORRECTION_COLUMNS,
    Clock,
    Correction,
    CorrectionStep,
    CostChange,
    Decision,
    Skipped,
)
from billing.corrections.batch_pass import BatchPass
from billing.errors import Refused
from billing.events import call_failures, events, unread_fields
from billing.events.events import Usage
from billing.events.unread_fields import Decisions, Outcome
from billing.ledger import log_search
from billing.models import (
    CorrectionBatch,
    CostSource,
    UnreadField,
    UnreadFieldUse,
    UsageAdjustment,
    UsageLog,
    UsageState,
)
from lib import retry

State = UnreadField.State
PAGE_SIZE = 1_000  # logs per transaction
MAX_PREVIEW_ACCOUNTS = 500  # a query or more for each
STATED = (CostSource.CALLER, CostSource.VENDOR)  # costs that no usage can change
VOIDED = resolution.VOIDED  # reasons to skip a log
STILL_UNREAD = "another of its fields is not decided, or the number is not stored"
UNKNOWN = "its usage stays unknown"
NOT_COUNTABLE = "the number does not fit the rest of its usage"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a decision would change: the sum over all accounts, and skipped calls by reason.

    `complete` is False if the maximum of logs or accounts was examined and more are left.
    """

    change: CostChange
    skipped: Counter[str]
    complete: bool


@retry.atomic
def decide(field: UnreadField, *, state: State, unit: str, actor: str, at: datetime) -> CorrectionBatch | None:
    """Store the decision, which holds for new calls from now on. Returns the batch for past calls; None if it is reopened.

    Raises Refused for a unit that does not exist.
    """
    if (state == State.MAPPED) != (unit in unread_fields.UNITS):
        raise Refused("invalid", "Choose a unit.", "unit")
    field.state, field.unit = state, unit
    field.decided_by, field.decided_at = (actor, at) if state != State.OPEN else ("", None)
    field.save(update_fields=["state", "unit", "decided_by", "decided_at"])
    unread_decisions.invalidate()
    return None if state == State.OPEN else start(field, actor=actor, at=at)


def start(field: UnreadField, *, actor: str, at: datetime) -> CorrectionBatch:
    """Return the unfinished batch of this decision, or a new one."""
    choice = {"reader": field.reader, "field": field.path}
    reason = (
        f"{field.path} is counted as {field.unit}" if field.state == State.MAPPED else f"{field.path} bills nothing"
    )
    kind = UsageAdjustment.Kind.RESOLVE
    return corrections.start(
        kind=kind, choice=choice, reason=reason[: corrections.MAX_REASON_LENGTH], actor=actor, at=at
    )


def run(batch: CorrectionBatch, *, size: int = PAGE_SIZE, clock: Clock) -> Iterator[CorrectionStep]:
    """Complete the batch's calls, `size` per step, then finish the batch. Each step is committed when it is yielded.

    Picks only calls that are still open: a killed run can be repeated. Raises BatchClosed.
    """
    current = BatchPass(batch)
    if batch.finished_at is not None:
        return
    for account, logs in _pages(batch.choice["reader"], batch.choice["field"], size):
        if current.only is None or account[1] in current.only:
            yield current.step(account[1], len(logs), partial(_resolve_page, batch, account[0], logs, clock))
    current.finish(clock())


def preview(field: UnreadField, *, state: State, unit: str, max_logs: int) -> Preview:
    """What `decide` and `run` would do now; changes nothing, locks nothing."""
    decisions = dict(unread_decisions.current().decisions)
    decisions[field.reader, field.path] = unit if state == State.MAPPED else unread_fields.DISMISSED
    snapshot, total, skipped, examined = rating.snapshot(), CostChange(""), Counter[str](), 0
    for _, logs in _pages(field.reader, field.path, min(PAGE_SIZE, max_logs), MAX_PREVIEW_ACCOUNTS):
        if examined >= max_logs:
            return Preview(total, skipped, complete=False)
        examined += len(logs)
        outcome = list(_decide(decisions, snapshot, logs))
        skipped += Counter(item.reason for item in outcome if isinstance(item, Skipped))
        total += apply_corrections.summarize("", [item for item in outcome if isinstance(item, Correction)])
    is_complete = not _uses(field.reader, field.path)[MAX_PREVIEW_ACCOUNTS:].exists()
    return Preview(total, skipped, is_complete)


def _pages(
    reader: str, field: str, size: int, max_accounts: int | None = None
) -> Iterator[tuple[tuple[int, str], list[UsageLog]]]:
    """Pages of calls with this unread field, each with (id, external_id) of its account."""
    for account_id, external_id, first_at, last_at in _uses(reader, field)[:max_accounts]:
        logs = UsageLog.objects.filter(account_id=account_id, timestamp__range=(first_at, last_at))
        incomplete = logs.exclude(usage_state=UsageState.COMPLETE).filter(reading__isnull=False)
        for page in log_search.iter_pages(incomplete.only(*CORRECTION_COLUMNS), size=size):
            having = [log for log in page if (reader, field) in _fields_of(log)]
            if having:
                yield (account_id, external_id), having


def _uses(reader: str, field: str) -> QuerySet[UnreadFieldUse, tuple[Any, ...]]:
    """The accounts whose calls had the field: id, external_id, and the times of the first and the last call."""
    uses = UnreadFieldUse.objects.filter(field__key=unread_fields.key_of(reader, field)).order_by("account_id")
    return uses.values_list("account_id", "account__external_id", "first_at", "last_at")


def _fields_of(log: UsageLog) -> set[tuple[str, str]]:
    reading = log.reading or {}
    return {(reading["reader"], unread_fields.field_of(path)) for path in reading.get("unread", ())}


def _resolve_page(batch: CorrectionBatch, account_id: int, logs: Sequence[UsageLog], clock: Clock) -> CorrectionStep:
    decide = partial(_decide, unread_decisions.current().decisions, rating.snapshot())
    return apply_corrections.apply(account_id, [log.id for log in logs], _locked(decide), batch=batch, clock=clock)


def _locked(
    decide: Callable[[Sequence[UsageLog]], Iterator[Decision]],
) -> apply_corrections.Decide:
    def run(logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Decision]:
        return decide(logs)

    return run


def _decide(decisions: Decisions, snapshot: RatingSnapshot, logs: Sequence[UsageLog]) -> Iterator[Decision]:
    adjustments = _adjustments(logs)
    for log in logs:
        if log.usage_state == UsageState.COMPLETE:
            continue
        reading = log.reading or {}
        values = reading.get("unread_values", {})
        outcome = unread_fields.decide(reading.get("reader", ""), reading.get("unread", ()), values, decisions)
        if log.voided_at is not None:
            yield Skipped(VOIDED)
        elif outcome.unread:
            yield Skipped(STILL_UNREAD)
        elif log.usage_state == UsageState.UNKNOWN and log.status_code == call_failures.CANCELLED:
            yield Skipped(UNKNOWN)
        else:
            yield _correct(log, outcome, values, snapshot, adjustments.get(log.id, []))


def _correct(
    log: UsageLog, outcome: Outcome, values: dict[str, Any], snapshot: RatingSnapshot, history: list[UsageAdjustment]
) -> Decision:
    current = _current_charge(log, history)
    if not outcome.mapped:
        return (
            Skipped(UNKNOWN) if log.usage_state == UsageState.UNKNOWN else _marked(resolution.by_charge(log, current))
        )
    try:
        total = unread_fields.add_to_usage(rating.usage_of_log(log), outcome.mapped, values)
        usage = resolution.parse(log, events.convert(total, Usage)).usage
        charge = current if log.cost_source in STATED else resolution.rate(log, usage, snapshot)
    except Refused:
        return Skipped(NOT_COUNTABLE)
    return _marked(resolution.by_usage(log, usage, charge))


def _marked(correction: Correction) -> Correction:
    """Mark the correction as one that can be reverted: no real usage was stated."""
    return correction._replace(details={**correction.details, "unread_fields": True})


def _current_charge(log: UsageLog, history: Sequence[UsageAdjustment]) -> resolution.Charge:
    """The current charge, which is no estimate any more."""
    charge = charge_history.current_charge(log, history)
    by_price = (CostSource.PRICE_BOOK if charge.total_nano else CostSource.FREE).value
    return {
        "price": charge.price_id,
        "source": by_price if charge.source == CostSource.ESTIMATE else charge.source,
        "input": charge.input_nano,
        "output": charge.output_nano,
        "other": charge.other_nano,
        "unpriced_reason": log.unpriced_reason,
    }


def _adjustments(logs: Sequence[UsageLog]) -> dict[Any, list[UsageAdjustment]]:
    """The adjustments of each log that has some, oldest first."""
    by_log: dict[Any, list[UsageAdjustment]] = {}
    accounts, log_ids = {log.account_id for log in logs}, [log.id for log in logs]
    for row in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=log_ids).order_by("id"):
        by_log.setdefault(row.log_id, []).append(row)
    return by_log
