"""Correction batches for a web page: described in words, and run for a few seconds per request."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Literal

from billing.corrections import corrections, import_voids, repricing, unread_resolution
from billing.corrections.apply_corrections import Clock, CorrectionStep, CostChange
from billing.corrections.batch_pass import ACCOUNT_FAILED
from billing.corrections.repricing import Preview, RepricingChoice
from billing.models import CorrectionBatch, UsageAdjustment

MAX_SECONDS = 4  # of work in one request
BATCH_SIZE = 500  # logs per transaction
AdjustmentKind = UsageAdjustment.Kind
RUNS: dict[str, Callable[..., Iterator[CorrectionStep]]] = {
    AdjustmentKind.RESOLVE: unread_resolution.run,
    AdjustmentKind.VOID: import_voids.run,
}
BatchState = Literal["running", "finished", "reverted"]
MAX_ACCOUNTS = 100  # in a preview


@dataclass(frozen=True, slots=True)
class PreviewSummary:
    """The accounts with the largest changes, the number of other accounts, and the total of all."""

    changes: tuple[CostChange, ...]
    other_accounts: int
    total: CostChange


def summarize_preview(preview: Preview) -> PreviewSummary:
    ordered = sorted(preview.changes, key=lambda change: (-abs(change.delta_nano), -change.calls, change.account))
    total = reduce(add, preview.changes, CostChange(""))
    return PreviewSummary(tuple(ordered[:MAX_ACCOUNTS]), max(len(ordered) - MAX_ACCOUNTS, 0), total)


def state(batch: CorrectionBatch) -> BatchState:
    if batch.reverted_at:
        return "reverted"
    return "finished" if batch.finished_at else "running"


def reverting_batch(batch: CorrectionBatch) -> CorrectionBatch | None:
    """The batch, running or finished, that reverts this one."""
    choice = {"batch": str(batch.id)}
    reverts = CorrectionBatch.objects.filter(kind=AdjustmentKind.REVERT, created_at__gte=batch.created_at)
    return next((revert for revert in reverts if revert.choice == choice), None)


def reverted_batch(batch: CorrectionBatch) -> CorrectionBatch | None:
    """The batch that this one reverts."""
    return CorrectionBatch.objects.filter(pk=batch.choice["batch"]).first() if "batch" in batch.choice else None


def may_continue(batch: CorrectionBatch) -> bool:
    """Whether a page can continue it; only the command continues a redetection."""
    return state(batch) == "running" and batch.kind != AdjustmentKind.REDETECT


def may_revert(batch: CorrectionBatch) -> bool:
    return state(batch) != "reverted" and batch.kind != AdjustmentKind.REVERT


def continue_batch(batch: CorrectionBatch, *, clock: Clock) -> bool:
    """Run for MAX_SECONDS; return whether the batch is done. Raises BatchClosed and NotReverted."""
    reverted = reverted_batch(batch)
    if reverted is not None:
        return _run_until_deadline(corrections.revert(reverted, actor=batch.actor, size=BATCH_SIZE, clock=clock))
    run = RUNS.get(batch.kind, repricing.run)
    return _run_until_deadline(run(batch, size=BATCH_SIZE, clock=clock))


def revert(batch: CorrectionBatch, *, actor: str, clock: Clock) -> bool:
    """Revert for MAX_SECONDS; return whether the revert is done. Raises BatchClosed and NotReverted."""
    return _run_until_deadline(corrections.revert(batch, actor=actor, size=BATCH_SIZE, clock=clock))


def _run_until_deadline(steps: Iterator[CorrectionStep]) -> bool:
    """Every run examines all logs from the start, so it stops only after it has corrected something."""
    deadline = time.monotonic() + MAX_SECONDS
    return not any(step.change.calls and time.monotonic() >= deadline for step in steps)


def describe_skips(skipped: Mapping[str, int] | None) -> list[str]:
    """A line for each reason to skip logs, like "2 skipped: the call is voided"."""
    return [f"{count:,} skipped: {reason}" for reason, count in sorted((skipped or {}).items())]


def open_problems(batch: CorrectionBatch) -> list[str]:
    """What is left of a batch, or of its revert, that was run to its end: reasons and accounts that failed."""
    current = reverting_batch(batch) or batch
    if batch.reverted_at or (current == batch and batch.finished_at and batch.kind != AdjustmentKind.REVERT):
        return []
    open_reasons = corrections.OPEN_REASONS - {ACCOUNT_FAILED}  # these accounts follow by name
    skipped = {reason: count for reason, count in (current.skips or {}).items() if reason in open_reasons}
    failed = [f"{account}: {reason}" for account, reason in (current.failed_accounts or {}).items()]
    return [*describe_skips(skipped), *failed[:MAX_ACCOUNTS]]


def describe(batch: CorrectionBatch) -> str:
    """The batch's logs, like "unpriced calls, provider openai, model gpt-9, from 2026-11-01T00:00:00+00:00"."""
    choice = batch.choice
    conditions = [f"{label} {choice[key]}" for key, label in CONDITION_LABELS.items() if choice.get(key)]
    return ", ".join(["unpriced calls", *conditions] if choice.get("unpriced") else conditions) or "all calls"


# In display order: a database need not preserve the order of the keys of `choice`.
CONDITION_LABELS = {
    **{
        name: name
        for name in ("log", "adjustment", "batch", "import", "reader", "field", "provider", "model", "account")
    },
    "since": "from",
    "until": "before",
}


def reprice_command(choice: RepricingChoice, reason: str) -> str:
    """The equivalent command line."""
    words = ["manage.py", "reprice", *(["--unpriced"] if choice.unpriced else [])]
    account = choice.account.external_id if choice.account else ""
    options = {"--provider": choice.provider, "--model": choice.model, "--account": account}
    options |= {"--since": _format_time(choice.since), "--until": _format_time(choice.until), "--reason": reason}
    return shlex.join([*words, *(word for name, value in options.items() if value for word in (name, value))])


def _format_time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if at else ""
