"""Correction batches as operators handle them: told in words, and worked on for a few seconds at a time. The admin asks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Literal

from billing.corrections import corrections, repricing
from billing.corrections.apply_corrections import Change, Step
from billing.corrections.repricing import Choice, Preview
from billing.models import CorrectionBatch, UsageAdjustment

SECONDS = 4  # how long a page works before it shows what is done so far
SIZE = 500  # logs of one transaction
Kind = UsageAdjustment.Kind
State = Literal["running", "finished", "reverted"]
MOST_ACCOUNTS = 100  # lines of a preview


@dataclass(frozen=True, slots=True)
class Outlook:
    """A preview for people: the accounts that change most, how many more there are, and all of them together."""

    lines: tuple[Change, ...]
    more: int
    total: Change


def outlook(preview: Preview) -> Outlook:
    ordered = sorted(preview.changes, key=lambda one: (-abs(one.delta_nano), -one.calls, one.account))
    total = reduce(add, preview.changes, Change(""))
    return Outlook(tuple(ordered[:MOST_ACCOUNTS]), max(len(ordered) - MOST_ACCOUNTS, 0), total)


def state(batch: CorrectionBatch) -> State:
    if batch.reverted_at:
        return "reverted"
    return "finished" if batch.finished_at else "running"


def undone_by(batch: CorrectionBatch) -> CorrectionBatch | None:
    """The revert of the batch, running or finished."""
    wanted = {"batch": str(batch.id)}
    reverts = CorrectionBatch.objects.filter(kind=Kind.REVERT, created_at__gte=batch.created_at)
    return next((one for one in reverts.iterator() if one.choice == wanted), None)


def undoes(batch: CorrectionBatch) -> CorrectionBatch | None:
    """The batch that this one reverts."""
    return CorrectionBatch.objects.filter(pk=batch.choice["batch"]).first() if "batch" in batch.choice else None


def may_continue(batch: CorrectionBatch) -> bool:
    """Whether a page can work on it; naming logs again is its command's work."""
    return state(batch) == "running" and (batch.kind == Kind.REPRICE or "batch" in batch.choice)


def may_revert(batch: CorrectionBatch) -> bool:
    return state(batch) != "reverted" and batch.kind != Kind.REVERT


def continue_batch(batch: CorrectionBatch, *, at: datetime) -> bool:
    """Go on for some seconds; whether it is done. Raises projections.BatchClosed, corrections.NotReverted."""
    of = undoes(batch)
    if of is not None:
        return _for_some_seconds(corrections.revert(of, actor=batch.actor, size=SIZE, at=at))
    return _for_some_seconds(repricing.go_on(batch, size=SIZE, at=at))


def revert(batch: CorrectionBatch, *, actor: str, at: datetime) -> bool:
    """Undo it for some seconds; whether it is done. Raises projections.BatchClosed, corrections.NotReverted."""
    return _for_some_seconds(corrections.revert(batch, actor=actor, size=SIZE, at=at))


def _for_some_seconds(steps: Iterator[Step]) -> bool:
    """A run looks at everything from the start again, so no part of it ends before it has corrected something."""
    until = time.monotonic() + SECONDS
    return not any(step.change.calls and time.monotonic() >= until for step in steps)


def describe(batch: CorrectionBatch) -> str:
    """Which logs it is for: "unpriced calls, provider openai, model gpt-9, from 2026-11-01T00:00:00+00:00"."""
    told = batch.choice
    what = ["unpriced calls"] if told.get("unpriced") else []
    return ", ".join([*what, *(f"{word} {told[key]}" for key, word in WORDS.items() if told.get(key))]) or "all calls"


# In the order in which they are told; a database need not keep the order of a batch's keys.
WORDS = {
    **{name: name for name in ("log", "adjustment", "batch", "provider", "model", "account")},
    "since": "from",
    "until": "before",
}


def command(choice: Choice, reason: str) -> str:
    """The command that does the same without a page."""
    words = ["manage.py", "reprice", *(["--unpriced"] if choice.unpriced else [])]
    account = choice.account.external_id if choice.account else ""
    options = {"--provider": choice.provider, "--model": choice.model, "--account": account}
    options |= {"--since": _moment(choice.since), "--until": _moment(choice.until), "--reason": reason}
    return shlex.join([*words, *(word for name, value in options.items() if value for word in (name, value))])


def _moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if at else ""
