"""Imports events in batches through the normal write path, and counts the outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db import transaction

from billing.errors import Refused
from billing.events.events import Event
from billing.events.lines import ImportLine
from billing.ledger.rollups import TotalTooLarge
from billing.recording import metering
from billing.recording.metering import EventSource, Result

BATCH_SIZE = 1_000
MAX_REFUSALS_SHOWN = 20
HISTORY_SOURCE = EventSource(may_state_cost=True, may_create_accounts=True, any_age=True, live=False)


@dataclass(slots=True)
class ImportCounts:
    """Outcomes of all lines so far. Costs are nano-USD, as rated when the event was first accepted."""

    read: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    tokens: int = 0  # of accepted events, input and output
    new_nano: int = 0
    duplicate_nano: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)  # at most MAX_REFUSALS_SHOWN

    @property
    def refused(self) -> int:
        return self.statuses["rejected"] + self.statuses["conflict"]

    def add(self, line: ImportLine, result: Result) -> None:
        self.read += 1
        self.statuses[result.status] += 1
        if result.status == "accepted":
            self.new_nano += result.cost_nano or 0
            self.unpriced += not result.priced
            self.tokens += _tokens(line.event)
        elif result.status == "duplicate":
            self.duplicate_nano += result.cost_nano or 0
        if result.refused:
            self._refuse(line, result.refused)

    def summary(self, *, dry_run: bool = False) -> str:
        imported = "would be imported" if dry_run else "imported"
        duplicates, refused = self.statuses["duplicate"], self.refused
        return (
            f"{self.read} read: {self.statuses['accepted']} {imported} ({self.unpriced} unpriced), "
            f"{duplicates} already stored, {refused} refused."
        )

    def refused_lines(self) -> list[str]:
        """The first refusals, then each reason with its count."""
        reasons = [f"{count} refused: {reason}" for reason, count in self.reasons.most_common()]
        return [*self.refusals, *reasons]

    def _refuse(self, line: ImportLine, refused: Refused) -> None:
        where = f"{refused.attr}: " if refused.attr else ""
        self.reasons[f"{refused.code} {refused.attr}".strip()] += 1
        if len(self.refusals) < MAX_REFUSALS_SHOWN:
            self.refusals.append(f"{line.name}: {where}{refused.detail}")


def _tokens(event: Event | Refused) -> int:
    return event.usage.input_tokens + event.usage.output_tokens if isinstance(event, Event) else 0


def import_lines(
    lines: Iterable[ImportLine], counts: ImportCounts, *, clock: Callable[[], datetime], dry_run: bool = False
) -> Iterator[list[tuple[ImportLine, Result]]]:
    """Record the lines and count their outcomes. Yields each batch once it is committed; a dry run rolls it back.

    Each batch is received at its own time: an import may take hours, in which periods are closed.
    """
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH_SIZE)):
        with_results = list(zip(batch, record_batch(batch, clock(), dry_run=dry_run), strict=True))
        for line, result in with_results:
            counts.add(line, result)
        yield with_results


def record_batch(batch: list[ImportLine], at: datetime, *, dry_run: bool = False) -> list[Result]:
    """Record the lines as one batch; a dry run rolls it back. Returns one Result per line, in order."""
    events = [line.event for line in batch]
    try:
        if not dry_run:
            return metering.record(events, source=HISTORY_SOURCE, at=at)
        with transaction.atomic():
            results = metering.record(events, source=HISTORY_SOURCE, at=at)
            transaction.set_rollback(True)
    except TotalTooLarge:
        refused = Refused("max_value", "A total would be too large to count; the whole batch was refused.")
        return [Result(line.name, refused=refused) for line in batch]
    return results
