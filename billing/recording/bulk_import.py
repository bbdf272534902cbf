"""Bringing old events in: batches through the one door, and a count of what became of them. Called by the import commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db import transaction

from billing.errors import Refused
from billing.events.events import Event
from billing.events.lines import Line
from billing.recording import metering
from billing.recording.metering import Result, Source

BATCH = 1_000
SHOWN = 20
HISTORY = Source(may_state_cost=True, may_create_accounts=True, any_age=True, live=False)


@dataclass(slots=True)
class Counts:
    """What became of all lines so far; `cost_nano` is what the stored ones, old and new, cost when they were rated."""

    read: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    tokens: int = 0  # of the new ones, input and output
    new_nano: int = 0
    repeated_nano: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)  # the first ones, as sentences

    @property
    def refused(self) -> int:
        return self.statuses["rejected"] + self.statuses["conflict"]

    def add(self, line: Line, result: Result) -> None:
        self.read += 1
        self.statuses[result.status] += 1
        if result.status == "accepted":
            self.new_nano += result.cost_nano or 0
            self.unpriced += not result.priced
            self.tokens += _tokens(line.event)
        elif result.status == "duplicate":
            self.repeated_nano += result.cost_nano or 0
        if result.refused:
            self._refuse(line, result.refused)

    def summary(self, *, dry_run: bool = False) -> str:
        came = "would come in" if dry_run else "came in"
        known, refused = self.statuses["duplicate"], self.refused
        return (
            f"{self.read} read: {self.statuses['accepted']} {came} ({self.unpriced} unpriced), "
            f"{known} were there already, {refused} refused."
        )

    def refused_lines(self) -> list[str]:
        """The first refused lines, then each reason with its count."""
        counted = [f"{count} refused: {reason}" for reason, count in self.reasons.most_common()]
        return [*self.refusals, *counted]

    def _refuse(self, line: Line, refused: Refused) -> None:
        where = f"{refused.attr}: " if refused.attr else ""
        self.reasons[f"{refused.code} {refused.attr}".strip()] += 1
        if len(self.refusals) < SHOWN:
            self.refusals.append(f"{line.name}: {where}{refused.detail}")


def _tokens(event: Event | Refused) -> int:
    return event.usage.input_tokens + event.usage.output_tokens if isinstance(event, Event) else 0


def bring_in(
    lines: Iterable[Line], counts: Counts, *, at: datetime, dry_run: bool = False
) -> Iterator[list[tuple[Line, Result]]]:
    """Record the lines by batches, each committed when it comes out (a dry run rolls it back), and count them."""
    rest = iter(lines)
    while batch := list(islice(rest, BATCH)):
        with_results = list(zip(batch, _record(batch, at, dry_run=dry_run), strict=True))
        for line, result in with_results:
            counts.add(line, result)
        yield with_results


def _record(batch: list[Line], at: datetime, *, dry_run: bool) -> list[Result]:
    lines = [line.event for line in batch]
    try:
        if not dry_run:
            return metering.record(lines, source=HISTORY, at=at)
        with transaction.atomic():
            results = metering.record(lines, source=HISTORY, at=at)
            transaction.set_rollback(True)
    except metering.TotalTooLarge:
        refused = Refused("max_value", "A total would be beyond what can be counted; this batch was refused whole.")
        return [Result(line.name, refused=refused) for line in batch]
    return results
