"""The derived totals: moved with the log in one transaction, checked against it, and put right by differences."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from operator import sub
from secrets import randbelow
from typing import Any

from django.db import connection, models
from django.db.models import QuerySet

from billing.ledger.ledger import NewLog
from billing.ledger.quantities import Quantity
from billing.models import Account, PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel
from billing.models.rollups import PROVIDER_BOUNDS_MS, SLOTS
from lib import histogram, upsert

Row = tuple[Any, ...]
Stored = UsageLog | NewLog
Totals = dict[Row, list[int]]  # key columns -> counters


@dataclass(frozen=True, slots=True)
class Rollup:
    """A rollup's table, its key columns, its counters, and how a log's key is made."""

    model: type[models.Model]
    keys: tuple[str, ...]
    counters: tuple[str, ...]
    key_of: Callable[[Stored], Row]

    @property
    def table(self) -> str:
        return self.model._meta.db_table


COUNTS = ("calls", "errors", "tokens_total", "cost_nano", "unpriced_calls")
DAY_COUNTS = (*COUNTS, "billable_calls", "fallback_calls", "tokens_input", "tokens_output", "response_time_sum")


def counts_of(log: Stored) -> list[int]:
    """What one log adds to a day, in the order of DAY_COUNTS; a voided log adds nothing."""
    if log.voided_at is not None:
        return [0] * len(DAY_COUNTS)
    return [
        1,
        int(log.failed),
        log.tokens_total,
        log.effective_nano,
        int(not log.is_priced),
        int(log.is_billable),
        int(log.shown_confidence == "fallback"),
        log.tokens_input,
        log.tokens_output,
        log.response_time_ms,
    ]


def quantity_of(log: Stored) -> Quantity:
    """What one log is to a meter."""
    calls = int(log.is_billable)
    return Quantity(declared_of(log), log.shown_provider, log.category, calls, log.tokens_total, log.effective_nano)


def declared_of(log: Stored) -> str:
    return log.kind.declared if isinstance(log, NewLog) else log.provider.strip().lower()


def model_of(log: Stored) -> str:
    return log.kind.model if isinstance(log, NewLog) else log.model_used.strip().lower()


def platform_day(log: Stored) -> date:
    """The UTC day on which a log counts for the platform: of the call, or of its receipt where it came late."""
    return (log.timestamp if log.late_for is None else log.received_at).astimezone(UTC).date()


USAGE_DAYS = Rollup(
    UsageDay,
    ("account_id", "day", "declared", "actual", "category"),
    DAY_COUNTS,
    lambda log: (log.account_id, log.usage_day, declared_of(log), log.shown_provider, log.category),
)
USAGE_MODELS = Rollup(
    UsageModel,
    ("account_id", "period", "actual", "model"),
    COUNTS,
    lambda log: (log.account_id, log.usage_period, log.shown_provider, model_of(log)),
)
PLATFORM_DAYS = Rollup(
    PlatformDay,
    ("day", "declared", "actual", "category", "slot"),
    DAY_COUNTS,
    lambda log: (platform_day(log), declared_of(log), log.shown_provider, log.category),
)
LEDGERED = (USAGE_DAYS, USAGE_MODELS, PLATFORM_DAYS)  # those that equal the log; minutes only watch live traffic


def group(logs: Sequence[Stored]) -> dict[Rollup, Totals]:
    """What `logs` add to each rollup (a platform day's key without its slot)."""
    counts = [counts_of(log) for log in logs]
    return {rollup: _counted(rollup, logs, counts) for rollup in LEDGERED}


def added(rollup: Rollup, logs: Sequence[Stored]) -> Totals:
    """What `logs` add to one of them."""
    return _counted(rollup, logs, [counts_of(log) for log in logs])


def minus(some: Mapping[Rollup, Totals], less: Mapping[Rollup, Totals]) -> dict[Rollup, Totals]:
    """What is left of `some`; of two groups of the same logs, before and after they changed, what to apply."""
    return {rollup: _minus(totals, less[rollup]) for rollup, totals in some.items()}


def apply(totals: Mapping[Rollup, Totals], *, live: Sequence[Stored] = ()) -> None:
    """Move the rollups by `totals`: sorted, the last statement before the commit, one slot of a platform day for all.

    `live` are calls that provider health counts as well, by minute of receipt.
    """
    slot = randbelow(SLOTS)
    sums = []
    for rollup in LEDGERED:
        tail = (slot,) if rollup is PLATFORM_DAYS else ()
        rows = [(*key, *tail, *counts) for key, counts in sorted(totals[rollup].items()) if any(counts)]
        sums.append(upsert.Sums(rollup.table, rollup.keys, rollup.counters, rows))
    upsert.add(connection, *sums, watched(live, slot))


def watched(logs: Sequence[Stored], slot: int) -> upsert.Sums:
    """Live calls by minute of receipt and provider, for provider health."""
    minutes = {at: at.replace(second=0, microsecond=0) for at in {log.received_at for log in logs}}
    totals: Totals = {}
    for log in logs:
        key, took = (minutes[log.received_at], log.shown_provider), log.response_time_ms
        counts = totals.get(key) or totals.setdefault(key, [0] * len(WATCHED))
        counts[0] += 1
        if log.failed:
            counts[1] += 1
        if took:  # 0: nobody told it
            counts[2] += took
            counts[3 + bisect_left(PROVIDER_BOUNDS_MS, took)] += 1
    rows = [(*key, slot, *counts) for key, counts in sorted(totals.items())]
    return upsert.Sums(ProviderMinute._meta.db_table, ("minute", "actual", "slot"), WATCHED, rows)


WATCHED = ("calls", "errors", "response_time_sum", *histogram.columns(PROVIDER_BOUNDS_MS))


def _counted(rollup: Rollup, logs: Sequence[Stored], counts: Sequence[list[int]]) -> Totals:
    return {key: sums[: len(rollup.counters)] for key, sums in _totals(map(rollup.key_of, logs), counts).items()}


def _totals(keys: Iterable[Row], counts: Iterable[list[int]]) -> Totals:
    """The counts of each key, summed column by column."""
    of_each: dict[Row, list[list[int]]] = {}
    for key, each in zip(keys, counts, strict=True):
        if key in of_each:
            of_each[key].append(each)
        else:
            of_each[key] = [each]
    return {
        key: found[0] if len(found) == 1 else list(map(sum, zip(*found, strict=True))) for key, found in of_each.items()
    }


def _minus(some: Totals, less: Totals) -> Totals:
    result = dict(some)
    for key, counts in less.items():
        stands = result.get(key, [0] * len(counts))
        result[key] = list(map(sub, stands, counts))
    return result


def days_between(account: Account | None, start: date, end: date) -> QuerySet[Any]:
    """The rollup's rows of the days from `start` up to `end`, which is not one of them."""
    return days_of(account).filter(day__gte=start, day__lt=end)


def days_of(account: Account | None) -> QuerySet[Any]:
    """The rollup's rows of the account, or of the platform where it is None."""
    return PlatformDay.objects.all() if account is None else UsageDay.objects.filter(account_id=account.id)
