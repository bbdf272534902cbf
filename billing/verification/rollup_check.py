"""Checks that the rollups equal the log and its adjustments, and repairs the differences.

`check` reads in one database snapshot. `rebuild` applies the differences as increments: writers change log and rollup in
one transaction, so a difference does not change until a rebuild applies it. If two rebuilds run at once, the second one
compares again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from functools import partial

from django.db import connection, transaction
from django.db.models import Aggregate, Case, F, Q, QuerySet, When
from django.db.models.functions import TruncDate

from billing.archive import archived
from billing.corrections import as_closed
from billing.corrections.apply_corrections import CORRECTION_COLUMNS
from billing.ledger import rollups
from billing.ledger.rollups import (
    PLATFORM_DAYS,
    USAGE_DAYS,
    USAGE_MODELS,
    Rollup,
    Row,
    Totals,
)
from billing.models import UsageLog
from billing.verification import scans
from billing.verification.differences import CheckedPart, Difference
from lib import retry
from lib.exact_sum import ExactSum
from providers import model_ids
from providers.models import CatalogVersion

RESOLVED_PAGE_SIZE = 2_000  # logs
REBUILD_VERSION = "rollups"  # name of the CatalogVersion that each rebuild increments

COUNTER_SUMS: dict[str, Aggregate] = {
    "calls": ExactSum("calls"),
    "errors": ExactSum("calls", filter=Q(status_code__gte=400)),
    "tokens_total": ExactSum("tokens_total"),
    "cost_nano": ExactSum("effective_nano"),
    "unpriced_calls": ExactSum("calls", filter=Q(is_priced=False)),
    "estimated_calls": ExactSum("calls", filter=rollups.ESTIMATED),
    "billable_calls": ExactSum("calls", filter=Q(is_billable=True)),
    "fallback_calls": ExactSum("calls", filter=Q(confidence="fallback") | Q(actual_provider_name=None)),
    "tokens_input": ExactSum("tokens_input"),
    "tokens_output": ExactSum("tokens_output"),
    "response_time_sum": ExactSum("response_time_ms"),
}
UTC_DAY = TruncDate(Case(When(late_for=None, then=F("timestamp")), default=F("received_at")), tzinfo=UTC)
# The columns by which SQL groups the log for each rollup. Python changes them to lower case, as databases differ in LOWER.
LOG_COLUMNS = {
    USAGE_DAYS: ("account_id", "usage_day", "provider", "actual_provider_name", "category"),
    USAGE_MODELS: ("account_id", "usage_period", "provider", "actual_provider_name", "model_used"),
    PLATFORM_DAYS: ("utc_day", "provider", "actual_provider_name", "category"),
}


@contextmanager
def database_snapshot() -> Iterator[None]:
    """All reads in this block see one consistent state of the database; writers are not blocked."""
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


def rebuild(*, dry_run: bool = False) -> Iterator[CheckedPart]:
    """Correct the rollups part by part and yield what was wrong. Safe while writers and other rebuilds run."""
    for rollup, where in _parts():
        while True:
            version = 0 if dry_run else CatalogVersion.objects.get_or_create(book=REBUILD_VERSION)[0].version
            with database_snapshot():
                part = compare(rollup, where)
            if dry_run or retry.on_deadlock(partial(_apply, rollup, part, version)):
                break
        yield part


def totals_from_logs(rollup: Rollup, logs: QuerySet[UsageLog]) -> Totals:
    """The rollup's expected totals of the current `logs`; a platform day has no slot in its key."""
    columns = LOG_COLUMNS[rollup]
    totals: Totals = {}
    sums = {f"sum_{counter}": COUNTER_SUMS[counter] for counter in rollup.counters}
    counted = logs.filter(voided_at=None).order_by()
    if rollup is PLATFORM_DAYS:
        counted = counted.annotate(utc_day=UTC_DAY)
    for row in counted.values_list(*columns).annotate(**sums):
        key, counts = _rollup_key(rollup, row[: len(columns)]), [int(count or 0) for count in row[len(columns) :]]
        totals[key] = _add(totals[key], counts) if key in totals else counts
    return totals


def _apply(rollup: Rollup, part: CheckedPart, version: int) -> bool:
    """Apply the differences; return False, changing nothing, if another rebuild has moved the `version` since."""
    if not part.differences:
        return True
    deltas = {row.key: [_delta(row, counter) for counter in rollup.counters] for row in part.differences}
    with transaction.atomic():
        current = CatalogVersion.objects.filter(book=REBUILD_VERSION, version=version)
        applied = current.update(version=version + 1) == 1
        if applied:
            rollups.apply({table: {} for table in rollups.LEDGER_ROLLUPS} | {rollup: deltas})
    return applied


def _delta(difference: Difference, counter: str) -> int:
    stored, expected = difference.columns.get(counter, (0, 0))
    return int(str(expected)) - int(str(stored))


def _parts() -> Iterator[tuple[Rollup, Q]]:
    """Each rollup with conditions that together cover all its rows."""
    for accounts in scans.account_ranges():
        yield USAGE_DAYS, accounts.where()
        yield USAGE_MODELS, accounts.where()
    yield PLATFORM_DAYS, Q()


def compare(rollup: Rollup, where: Q) -> CheckedPart:
    """Compare logs and archived usage matching `where` with the rollup; logs of closed periods as they were at closing."""
    expected = totals_from_logs(rollup, UsageLog.objects.filter(where))
    missing = (_resolved_totals(rollup, where), as_closed.missing_totals(rollup, where))
    for totals in (*missing, archived.totals(rollup, where)):
        for key, counts in totals.items():
            expected[key] = _add(expected.get(key, [0] * len(counts)), counts)
    stored = _stored(rollup, where)
    zeros = [0] * len(rollup.counters)
    differences = []
    for key in sorted({*expected, *stored}):
        rows = zip(rollup.counters, stored.get(key, zeros), expected.get(key, zeros), strict=True)
        wrong: dict[str, tuple[object, object]] = {name: (is_, should) for name, is_, should in rows if is_ != should}
        if wrong:
            differences.append(Difference(rollup.table, key, wrong))
    return CheckedPart(len({*expected, *stored}), differences)


def _resolved_totals(rollup: Rollup, where: Q) -> Totals:
    """What to add to sums of recorded tokens, for logs whose usage was stated later."""
    totals: Totals = {}
    rest = resolved = UsageLog.objects.filter(where, resolved__isnull=False, voided_at=None).order_by("id")
    while logs := list(rest.only(*CORRECTION_COLUMNS)[:RESOLVED_PAGE_SIZE]):
        current = rollups.totals_for(rollup, logs)
        for log in logs:
            log.resolved = None
        recorded = rollups.totals_for(rollup, logs)
        for key, counts in current.items():
            differences = [a - b for a, b in zip(counts, recorded[key], strict=True)]
            totals[key] = _add(totals.get(key, [0] * len(counts)), differences)
        rest = resolved.filter(id__gt=logs[-1].id)
    return totals


def _stored(rollup: Rollup, where: Q) -> Totals:
    """The rollup's stored totals; the slots of a platform day are summed."""
    keys = [key for key in rollup.keys if key != "slot"]
    sums = {f"sum_{counter}": ExactSum(counter) for counter in rollup.counters}
    rows = QuerySet(rollup.model).filter(where).order_by().values_list(*keys).annotate(**sums)
    return {tuple(row[: len(keys)]): [int(count) for count in row[len(keys) :]] for row in rows}


def _rollup_key(rollup: Rollup, raw: Row) -> Row:
    """The rollup's key for raw columns of the log, equal to the key that rollups.py derives from a log."""
    if rollup is PLATFORM_DAYS:
        day, provider, actual, category = raw
        return day, model_ids.normalize(provider), actual or model_ids.normalize(provider), category
    account, day, provider, actual, last = raw
    declared = model_ids.normalize(provider)
    if rollup is USAGE_DAYS:
        return account, day, declared, actual or declared, last
    return account, day, actual or declared, model_ids.normalize(last)


def _add(first: list[int], second: list[int]) -> list[int]:
    return [a + b for a, b in zip(first, second, strict=True)]


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
