"""What is kept for a number of days: how much is older, and removing that in small batches. Each app has rules of its own.

Called by the jobs and by `manage.py prune`, never inside a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Min

BATCH = 1_000  # rows in one transaction
OF_MINUTES, OF_HOURS = timedelta(minutes=30), timedelta(days=1)  # in one batch: some hundred rows each
BATCHES = 100  # in one run of a job, so that other jobs get their turn; the rest waits for the next run


@dataclass(frozen=True, slots=True)
class Rule:
    """`days`: how long it is kept, 0 for ever. `due` counts what is older than a time.

    `step` commits one batch, and answers how many rows it removed, or None where nothing is left; it may be killed, and run
    by several at once.
    """

    what: str
    days: Callable[[], int]
    due: Callable[[datetime], int]
    step: Callable[[datetime], int | None]

    def limit(self, at: datetime) -> datetime | None:
        return at - timedelta(days=self.days()) if self.days() else None


def of_spans(what: str, days: Callable[[], int], rows: models.Manager[Any], *, by: str, span: timedelta) -> Rule:
    """The rule of a table that holds rows for each minute or hour, in column `by`; a batch removes those of one `span`."""

    def due(before: datetime) -> int:
        return rows.filter((f"{by}__lt", before)).count()

    def step(before: datetime) -> int | None:
        oldest = rows.filter((f"{by}__lt", before)).aggregate(oldest=Min(by))["oldest"]
        return None if oldest is None else rows.filter((f"{by}__lt", min(oldest + span, before))).delete()[0]

    return Rule(what, days, due, step)


def due(rules: Iterable[Rule], at: datetime) -> list[tuple[Rule, int]]:
    """What each rule would remove."""
    limits = [(rule, rule.limit(at)) for rule in rules]
    return [(rule, rule.due(limit) if limit else 0) for rule, limit in limits]


def run(rules: Iterable[Rule], at: datetime, *, batches: int = BATCHES) -> list[tuple[Rule, int]]:
    """What each rule removed, in so many batches at most."""
    return [(rule, some(rule, at, batches=batches) or 0) for rule in rules]


def some(rule: Rule, at: datetime, *, batches: int) -> int | None:
    """What so many batches of one rule removed; None where nothing was left."""
    limit, removed = rule.limit(at), None
    while limit and batches and (count := rule.step(limit)) is not None:
        removed, batches = (removed or 0) + count, batches - 1
    return removed


def told(removed: Iterable[tuple[Rule, int]]) -> str:
    return ", ".join(f"{count} {rule.what}" for rule, count in removed)
