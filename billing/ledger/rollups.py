"""Rollups: totals derived from the logs and updated in the same transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import attrgetter, sub
from secrets import randbelow
from typing import Any

from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q, QuerySet

from billing.ledger.ledger import NewLog
from billing.ledger.quantities import Quantity
from billing.models import Account, PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel, UsageState
from billing.models.rollups import PROVIDER_BOUNDS_MS, SLOTS
from billing.models.usage import ESTIMATED_SOURCES
from lib import histogram, upsert
from providers import model_ids

# Slots from SLOTS on: the next SLOTS are for slot_compaction; the spare ones are for platform totals beyond 64 bits.
FIRST_SPARE_SLOT, SPARE_SLOTS = 2 * SLOTS, 1_000
MAX_SPARE_SLOTS_TRIED = 5

Row = tuple[Any, ...]
AnyLog = UsageLog | NewLog
Totals = dict[Row, list[int]]  # key columns -> counters


@dataclass(frozen=True, slots=True)
class Rollup:
    """A rollup table with its key columns and counters; `key_of` returns a log's key."""

    model: type[models.Model]
    keys: tuple[str, ...]
    counters: tuple[str, ...]
    key_of: Callable[[AnyLog], Row]

    @property
    def table(self) -> str:
        return self.model._meta.db_table


COUNTERS = ("calls", "errors", "tokens_total", "cost_nano", "unpriced_calls", "estimated_calls")
DAY_COUNTERS = (*COUNTERS, "billable_calls", "fallback_calls", "tokens_input", "tokens_output", "response_time_sum")


def counts_of(log: AnyLog) -> list[int]:
    """What one log adds to DAY_COUNTERS (cost in nano-USD, time in ms); zeros for a voided log.

    An aggregated row counts each of its calls; its tokens, cost and time are those of all of them.
    """
    if log.voided_at is not None:
        return [0] * len(DAY_COUNTERS)
    calls = log.calls
    tokens_input, tokens_output, tokens_total = log.resolved["tokens"] if log.resolved else recorded_tokens(log)
    return [
        calls,
        calls if log.failed else 0,
        tokens_total,
        log.effective_nano,
        0 if log.is_priced else calls,
        calls if log.is_estimated else 0,
        calls if log.is_billable else 0,
        calls if log.display_confidence == "fallback" else 0,
        tokens_input,
        tokens_output,
        log.response_time_ms,
    ]


recorded_tokens = attrgetter("tokens_input", "tokens_output", "tokens_total")


# The same as `is_estimated` of a log.
ESTIMATED = Q(is_priced=True, cost_source__in=ESTIMATED_SOURCES) & ~Q(usage_state=UsageState.COMPLETE)


def quantity_of(log: AnyLog) -> Quantity:
    """What one log adds to meters."""
    calls = log.calls if log.is_billable else 0
    return Quantity(declared_of(log), log.display_provider, log.category, calls, log.tokens_total, log.effective_nano)


def declared_of(log: AnyLog) -> str:
    return log.profile.declared if isinstance(log, NewLog) else model_ids.normalize(log.provider)


def model_of(log: AnyLog) -> str:
    return log.profile.model if isinstance(log, NewLog) else model_ids.normalize(log.model_used)


def counting_time(log: UsageLog) -> datetime:
    """The instant that decides the log's day and period: its own, else of receipt if it was late, else of the call."""
    if log.counts_at is not None:
        return log.counts_at
    return log.timestamp if log.late_for is None else log.received_at


def platform_day(log: AnyLog) -> date:
    """The UTC day on which the platform counts a log: the day of the call, or of receipt if it was late."""
    return (log.timestamp if log.late_for is None else log.received_at).astimezone(UTC).date()


USAGE_DAYS = Rollup(
    UsageDay,
    ("account_id", "day", "declared", "actual", "category"),
    DAY_COUNTERS,
    lambda log: (log.account_id, log.usage_day, declared_of(log), log.display_provider, log.category),
)
USAGE_MODELS = Rollup(
    UsageModel,
    ("account_id", "period", "actual", "model"),
    COUNTERS,
    lambda log: (log.account_id, log.usage_period, log.display_provider, model_of(log)),
)
PLATFORM_DAYS = Rollup(
    PlatformDay,
    ("day", "declared", "actual", "category", "slot"),
    DAY_COUNTERS,
    lambda log: (platform_day(log), declared_of(log), log.display_provider, log.category),
)
# Rollups that always equal the logs; ProviderMinute counts only live traffic.
LEDGER_ROLLUPS = (USAGE_DAYS, USAGE_MODELS, PLATFORM_DAYS)


def totals_by_rollup(logs: Sequence[AnyLog]) -> dict[Rollup, Totals]:
    """What the logs add to each ledger rollup. Keys of platform days have no slot."""
    counts = [counts_of(log) for log in logs]
    return {rollup: _rollup_totals(rollup, logs, counts) for rollup in LEDGER_ROLLUPS}


def totals_for(rollup: Rollup, logs: Sequence[AnyLog]) -> Totals:
    """What the logs add to one rollup."""
    return _rollup_totals(rollup, logs, [counts_of(log) for log in logs])


def subtract(totals: Mapping[Rollup, Totals], less: Mapping[Rollup, Totals]) -> dict[Rollup, Totals]:
    """`totals` minus `less`. With the totals of the same logs after and before a correction: the change to apply."""
    return {rollup: _subtract_totals(totals[rollup], less[rollup]) for rollup in totals}


class TotalTooLarge(Exception):
    """A total would exceed 64 bits, such as 9,000,000,000 USD. Nothing was added."""


def random_slots() -> Iterator[int]:
    """A random slot to add totals to, then others to try where a platform total is too large for one row."""
    yield randbelow(SLOTS)
    yield from spare_slots()


def spare_slots() -> Iterator[int]:
    for _ in range(MAX_SPARE_SLOTS_TRIED):
        yield FIRST_SPARE_SLOT + randbelow(SPARE_SLOTS)


def apply(totals: Mapping[Rollup, Totals], *, slots: Iterable[int] | None = None) -> None:
    """Add `totals` to the rollups, in the first of the slots (default: random) that can hold them. Raises TotalTooLarge."""
    too_large = TotalTooLarge()
    for slot in slots or random_slots():
        try:
            with transaction.atomic(), overflow_as_total_too_large():
                add(totals, slot)
        except TotalTooLarge as error:
            too_large = error
        else:
            return
    raise too_large


def add(totals: Mapping[Rollup, Totals], slot: int, *, live: Sequence[AnyLog] = ()) -> None:
    """Add `totals` to the rollups in sorted order, in this slot of the platform days. Call it last before the commit.

    `live` calls are also counted in provider health, by minute of receipt.
    """
    sums = []
    for rollup in LEDGER_ROLLUPS:
        tail = (slot,) if rollup is PLATFORM_DAYS else ()
        rows = [(*key, *tail, *counts) for key, counts in sorted(totals[rollup].items()) if any(counts)]
        sums.append(upsert.Increments(rollup.table, rollup.keys, rollup.counters, rows))
    upsert.increment(connection, *sums, minute_sums(live, slot))


@contextmanager
def overflow_as_total_too_large() -> Iterator[None]:
    """Raise TotalTooLarge where `add` fails because of a total's size. Around a pipeline, where it is only known at its end."""
    try:
        yield
    except DatabaseError as error:
        if upsert.is_overflow(error):
            raise TotalTooLarge from error
        raise


def minute_sums(logs: Sequence[AnyLog], slot: int) -> upsert.Increments:
    """Sums of live calls by minute of receipt and provider, for provider health. An aggregated row has a mean time."""
    minutes = {at: at.replace(second=0, microsecond=0) for at in {log.received_at for log in logs}}
    totals: Totals = {}
    for log in logs:
        key, took_ms = (minutes[log.received_at], log.display_provider), log.response_time_ms
        counts = totals.get(key) or totals.setdefault(key, [0] * len(MINUTE_COUNTERS))
        counts[0] += log.calls
        if log.failed:
            counts[1] += log.calls
        if took_ms:  # 0: not reported
            counts[2] += took_ms
            counts[3 + bisect_left(PROVIDER_BOUNDS_MS, took_ms // log.calls)] += log.calls
    rows = [(*key, slot, *counts) for key, counts in sorted(totals.items())]
    return upsert.Increments(ProviderMinute._meta.db_table, ("minute", "actual", "slot"), MINUTE_COUNTERS, rows)


MINUTE_COUNTERS = ("calls", "errors", "response_time_sum", *histogram.columns(PROVIDER_BOUNDS_MS))


def _rollup_totals(rollup: Rollup, logs: Sequence[AnyLog], counts: Sequence[list[int]]) -> Totals:
    return {key: sums[: len(rollup.counters)] for key, sums in _sum_by_key(map(rollup.key_of, logs), counts).items()}


def _sum_by_key(keys: Iterable[Row], counts: Iterable[list[int]]) -> Totals:
    """Sum the counts of each key, column by column."""
    by_key: dict[Row, list[list[int]]] = {}
    for key, row in zip(keys, counts, strict=True):
        if key in by_key:
            by_key[key].append(row)
        else:
            by_key[key] = [row]
    return {key: rows[0] if len(rows) == 1 else list(map(sum, zip(*rows, strict=True))) for key, rows in by_key.items()}


def _subtract_totals(totals: Totals, less: Totals) -> Totals:
    result = dict(totals)
    for key, counts in less.items():
        current = result.get(key, [0] * len(counts))
        result[key] = list(map(sub, current, counts))
    return result


def days_between(account: Account | None, start: date, end: date) -> QuerySet[Any]:
    """The daily rollup rows from `start` to `end`, exclusive."""
    return days_of(account).filter(day__gte=start, day__lt=end)


def days_of(account: Account | None) -> QuerySet[Any]:
    """The daily rollup rows of the account, or of the platform if it is None."""
    return PlatformDay.objects.all() if account is None else UsageDay.objects.filter(account_id=account.id)
