"""Whether the rollups equal the log and its adjustments, and the differences that put them right.

`check` is asked by verify_ledger, all in one snapshot. `rebuild` applies differences as increments, which commute with
writers: these move log and rollup together, so a difference stays what it is until somebody applies it. Of two rebuilds at
once, the one that comes second looks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from functools import partial

from django.db import connection, transaction
from django.db.models import Aggregate, Case, Count, F, Q, QuerySet, Sum, When
from django.db.models.functions import TruncDate

from billing.archive import archived
from billing.corrections import as_closed
from billing.ledger import rollups
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup, Row, Totals
from billing.models import Account, UsageLog
from billing.verification import projection_check
from billing.verification.projection_check import Difference
from lib import retry
from providers.models import CatalogVersion

REBUILT = "rollups"  # the BookVersion that each rebuild moves with what it applies
ACCOUNTS = 200  # a part of the check: what is in memory at a time

SUMS: dict[str, Aggregate] = {
    "calls": Count("id"),
    "errors": Count("id", filter=Q(status_code__gte=400)),
    "tokens_total": Sum("tokens_total"),
    "cost_nano": Sum("effective_nano"),
    "unpriced_calls": Count("id", filter=Q(is_priced=False)),
    "billable_calls": Count("id", filter=Q(is_billable=True)),
    "fallback_calls": Count("id", filter=Q(confidence="fallback") | Q(actual_provider_name=None)),
    "tokens_input": Sum("tokens_input"),
    "tokens_output": Sum("tokens_output"),
    "response_time_sum": Sum("response_time_ms"),
}
UTC_DAY = TruncDate(Case(When(late_for=None, then=F("timestamp")), default=F("received_at")), tzinfo=UTC)
# The raw columns by which SQL groups the log for each rollup. They are folded here: LOWER differs from database to database.
GROUPED = {
    USAGE_DAYS: ("account_id", "usage_day", "provider", "actual_provider_name", "category"),
    USAGE_MODELS: ("account_id", "usage_period", "provider", "actual_provider_name", "model_used"),
    PLATFORM_DAYS: ("utc_day", "provider", "actual_provider_name", "category"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the check: how many rows were compared, and the differences among them."""

    rows: int
    differences: list[Difference]


@contextmanager
def snapshot() -> Iterator[None]:
    """One consistent view of the whole database for all that is read inside; writers go on."""
    if connection.in_atomic_block:  # the caller's own transaction decides
        yield
        return
    mode = getattr(connection, "transaction_mode", None)
    try:
        if connection.vendor == "sqlite":
            connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]  # SQLite's wrapper has it
        if connection.vendor == "mysql":
            _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with transaction.atomic():
            if connection.vendor == "postgresql":
                _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    finally:
        if connection.vendor == "sqlite":
            connection.transaction_mode = mode  # type: ignore[attr-defined]  # as above


def check() -> Iterator[Part]:
    """Everything that must be equal, part by part; the caller holds a snapshot around it."""
    for rollup, where in _parts():
        yield _compare(rollup, where)
    for differences in projection_check.differences():
        found = list(differences)
        yield Part(len(found), found)


def rebuild(*, dry_run: bool = False) -> Iterator[Part]:
    """Put the rollups right, part by part, and tell what was wrong. Safe while writers and other rebuilds run."""
    for rollup, where in _parts():
        while True:
            edition = 0 if dry_run else CatalogVersion.objects.get_or_create(book=REBUILT)[0].version
            with snapshot():
                part = _compare(rollup, where)
            if dry_run or retry.on_deadlock(partial(_apply, rollup, part, edition)):
                break
        yield part


def from_log(rollup: Rollup, logs: QuerySet[UsageLog]) -> Totals:
    """What a rollup must say of `logs` as they are now; a platform day without its slot."""
    columns = GROUPED[rollup]
    totals: Totals = {}
    named = {f"sum_{counter}": SUMS[counter] for counter in rollup.counters}
    live = logs.filter(voided_at=None).order_by()
    if rollup is PLATFORM_DAYS:
        live = live.annotate(utc_day=UTC_DAY)
    for row in live.values_list(*columns).annotate(**named):
        key, counts = _folded(rollup, row[: len(columns)]), [int(count) for count in row[len(columns) :]]
        totals[key] = _plus(totals[key], counts) if key in totals else counts
    return totals


def _apply(rollup: Rollup, part: Part, edition: int) -> bool:
    """False, and nothing done, where another rebuild has applied differences since this `edition` was read."""
    if not part.differences:
        return True
    moves = {one.key: [_delta(one, counter) for counter in rollup.counters] for one in part.differences}
    with transaction.atomic():
        first = CatalogVersion.objects.filter(book=REBUILT, version=edition).update(version=edition + 1) == 1
        if first:
            rollups.apply({each: {} for each in rollups.LEDGERED} | {rollup: moves})
    return first


def _delta(difference: Difference, counter: str) -> int:
    found, right = difference.columns.get(counter, (0, 0))
    return int(str(right)) - int(str(found))


def _parts() -> Iterator[tuple[Rollup, Q]]:
    after = 0
    while True:
        rest = Account.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
        upto = rest[ACCOUNTS - 1 : ACCOUNTS].first()
        where = Q(account_id__gt=after) if upto is None else Q(account_id__gt=after, account_id__lte=upto)
        yield USAGE_DAYS, where
        yield USAGE_MODELS, where
        if upto is None:
            break
        after = upto
    yield PLATFORM_DAYS, Q()


def _compare(rollup: Rollup, where: Q) -> Part:
    """The log, and what of it is archived, against the rollup where `where` holds; of closed periods, as they were closed."""
    right = from_log(rollup, UsageLog.objects.filter(where))
    for more in (as_closed.as_closed(rollup, where), archived.totals(rollup, where)):
        for key, counts in more.items():
            right[key] = _plus(right.get(key, [0] * len(counts)), counts)
    found = _stored(rollup, where)
    nothing = [0] * len(rollup.counters)
    differences = []
    for key in sorted({*right, *found}):
        pairs = zip(rollup.counters, found.get(key, nothing), right.get(key, nothing), strict=True)
        wrong: dict[str, tuple[object, object]] = {name: (is_, should) for name, is_, should in pairs if is_ != should}
        if wrong:
            differences.append(Difference(rollup.table, key, wrong))
    return Part(len({*right, *found}), differences)


def _stored(rollup: Rollup, where: Q) -> Totals:
    """What the rollup says; the slots of a platform day together."""
    keys = [key for key in rollup.keys if key != "slot"]
    sums = {f"sum_{counter}": Sum(counter) for counter in rollup.counters}
    rows = QuerySet(rollup.model).filter(where).order_by().values_list(*keys).annotate(**sums)
    return {tuple(row[: len(keys)]): [int(count) for count in row[len(keys) :]] for row in rows}


def _folded(rollup: Rollup, raw: Row) -> Row:
    """A rollup's key of the log's raw columns, as rollups.py makes it of a log."""
    if rollup is PLATFORM_DAYS:
        day, provider, actual, category = raw
        return day, provider.strip().lower(), actual or provider.strip().lower(), category
    account, day, provider, actual, last = raw
    declared = provider.strip().lower()
    if rollup is USAGE_DAYS:
        return account, day, declared, actual or declared, last
    return account, day, actual or declared, last.strip().lower()


def _plus(some: list[int], more: list[int]) -> list[int]:
    return [a + b for a, b in zip(some, more, strict=True)]


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
