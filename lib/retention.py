"""Retention rules: what to delete after a number of days, how many rows are due, and deletion in small batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Min

BATCH_ROWS = 1_000  # rows in one transaction
MINUTES_PER_BATCH, HOURS_PER_BATCH = timedelta(minutes=30), timedelta(days=1)  # some hundred rows each
MAX_BATCHES = 100  # in one run of a job, so that other jobs get their turn; the next run continues


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """`days`: how long rows are kept, 0 for ever. `count_older` counts the rows older than a time.

    `delete_batch` commits one batch of rows older than a time and returns how many it deleted, or None where none is left.
    It may be killed, and several processes may run it at once.
    """

    label: str
    days: Callable[[], int]
    count_older: Callable[[datetime], int]
    delete_batch: Callable[[datetime], int | None]

    def cutoff(self, at: datetime) -> datetime | None:
        """The time before which rows are due at `at`; None where they are kept for ever."""
        return at - timedelta(days=self.days()) if self.days() else None


def time_bucket_rule(
    label: str, days: Callable[[], int], rows: models.Manager[Any], *, column: str, span: timedelta
) -> RetentionRule:
    """The rule of a table with rows for each minute or hour in `column`; a batch deletes the oldest `span` of them."""

    def count_older(before: datetime) -> int:
        return rows.filter((f"{column}__lt", before)).count()

    def delete_batch(before: datetime) -> int | None:
        oldest = rows.filter((f"{column}__lt", before)).aggregate(oldest=Min(column))["oldest"]
        return None if oldest is None else rows.filter((f"{column}__lt", min(oldest + span, before))).delete()[0]

    return RetentionRule(label, days, count_older, delete_batch)


def count_due(rules: Iterable[RetentionRule], at: datetime) -> list[tuple[RetentionRule, int]]:
    """How many rows each rule would delete."""
    cutoffs = [(rule, rule.cutoff(at)) for rule in rules]
    return [(rule, rule.count_older(cutoff) if cutoff else 0) for rule, cutoff in cutoffs]


def delete_due(
    rules: Iterable[RetentionRule], at: datetime, *, batches: int = MAX_BATCHES
) -> list[tuple[RetentionRule, int]]:
    """How many rows each rule deleted, in at most `batches` batches per rule."""
    return [(rule, delete_batches(rule, at, batches=batches) or 0) for rule in rules]


def delete_batches(rule: RetentionRule, at: datetime, *, batches: int) -> int | None:
    """How many rows at most `batches` batches of one rule deleted; None where none was left."""
    cutoff, deleted = rule.cutoff(at), None
    while cutoff and batches and (count := rule.delete_batch(cutoff)) is not None:
        deleted, batches = (deleted or 0) + count, batches - 1
    return deleted


def describe(counts: Iterable[tuple[RetentionRule, int]]) -> str:
    return ", ".join(f"{count} {rule.label}" for rule, count in counts)
