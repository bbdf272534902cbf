"""Creates the data set of the targets: seeded logs of 10,000 accounts by Zipf, 24 months and 40 providers, and their rollups.

By Zipf, account number r has 1/r of the logs of account 1.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction

from bench import workloads
from bench.sql_statement_peer import ROLLUP_SUMS
from billing.ledger import rollups, slot_compaction
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup
from billing.models import Account, UsageLog
from lib import ids, postgres, upsert
from monitoring import histogram
from providers.models import Provider

ACCOUNTS = 10_000
PROVIDERS = 40
SPAN = timedelta(days=730)
BATCH_ROWS = 20_000  # in memory at a time
PROVIDER_MINUTES_SPAN = timedelta(days=1)  # provider_minutes has rows for this span before the end
OPERATOR = "operator"

ACCOUNT_SHARES = tuple(accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))
CALL_KIND_SHARES = tuple(accumulate(1 / rank for rank in range(1, len(workloads.CALL_KINDS) + 1)))
CATEGORIES = {"seconds": "video", "images": "image", "characters": "audio", "searches": "search", "pages": "crawl"}
LOG_COLUMNS = (
    *("id", "account_id", "event_id", "event_key", "digest", "tokens_input", "tokens_output", "tokens_total"),
    *("cost_input", "cost_output", "cost_total", "effective_nano", "response_time_ms", "status_code"),
    *("timestamp", "received_at", "usage_day", "usage_period", "is_billable"),
)
CALL_KIND_COLUMNS = (
    *(
        "provider",
        "category",
        "model_used",
        "endpoint",
        "cost_source",
        "is_priced",
        "confidence",
        "actual_provider_name",
    ),
    *(
        "method",
        "variant",
        "tokens_cached",
        "tokens_cache_write",
        "units",
        "cached_included",
        "cost_other",
        "error_message",
    ),
    *("retry_count", "user_agent", "ip_address", "metadata", "detection_rule", "evidence", "served_by"),
)
CALL_KIND_CONSTANTS = ("POST", "{}", 0, 0, "{}", True, 0, "", 0, "", "", "{}", "", "", "")
UNPRICED_CALL_KIND = len(workloads.CALL_KINDS) - 1  # the kind of call without a price
# All accounts use UTC and labels are in lower case, so only models need lower().
ROLLUP_KEYS = {
    USAGE_DAYS: "account_id, usage_day, provider, actual_provider_name, category",
    USAGE_MODELS: "account_id, usage_period, actual_provider_name, lower(model_used)",
    PLATFORM_DAYS: "usage_day, provider, actual_provider_name, category, CASE WHEN {over} THEN 0 ELSE tokens_output % 16 END",
}
# A UUIDv7 of the row's time, with its number in place of random bits.
REQUEST_ID = """(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
                || 'a' || substr(md5(n::text), 4, 15))::uuid"""
STARTED = time.monotonic()
Row = tuple[Any, ...]


def fill(count: int, *, at: datetime) -> None:
    """Fill an empty database with `count` logs up to `at`, their rollups, and an operator."""
    get_user_model().objects.create_superuser(OPERATOR)
    create_accounts(at)
    with _without_indexes():
        create_logs(count, at=at)
    _print_progress("logs and their indexes")
    for rollup in ROLLUP_KEYS:
        _fill_rollup(rollup, at)
        _print_progress(rollup.table)
    recent = UsageLog.objects.filter(timestamp__gte=at - PROVIDER_MINUTES_SPAN)
    upsert.increment(connection, rollups.minute_sums(list(recent), 0))
    if connection.vendor == "postgresql":
        _execute("VACUUM ANALYZE")
    _print_progress("all")


def create_accounts(at: datetime) -> None:
    """Create accounts numbered from 1, which has the most logs. Logs before the last two months count as history."""
    billed_from = (at.date().replace(day=1) - timedelta(days=1)).replace(day=1)
    names = [f"account-{number}" for number in range(1, ACCOUNTS + 1)]
    Account.objects.bulk_create(
        Account(id=number, external_id=name, external_key=ids.lookup_key(name), billed_from=billed_from, created_at=at)
        for number, name in enumerate(names, 1)
    )


def create_logs(count: int, *, at: datetime, with_provider: bool = True) -> None:
    """Create `count` logs up to `at`, oldest first; without `with_provider`, their actual provider is not set."""
    call_kinds = _call_kind_rows(with_provider=with_provider)
    for first in range(0, count, BATCH_ROWS):
        _insert_logs(list(_log_rows(first, min(first + BATCH_ROWS, count), count, at)), call_kinds)
    if connection.vendor == "postgresql":
        _execute("VACUUM ANALYZE api_usage_logs")


def _call_kind_rows(*, with_provider: bool) -> list[Row]:
    """The CALL_KIND_COLUMNS of each kind of call: one kind per provider."""
    slugs = list(Provider.objects.order_by("slug").values_list("slug", flat=True)[:PROVIDERS])
    rows = []
    for number, (kind, slug) in enumerate(zip(workloads.CALL_KINDS, slugs, strict=True)):
        category, priced = CATEGORIES.get(kind.units[0], "text"), number != UNPRICED_CALL_KIND
        detected = (("exact", "strong", "weak", "fallback")[number % 4], slug) if with_provider else ("", None)
        source = "price_book" if priced else "unpriced"
        rows.append(
            (kind.provider, category, kind.model, kind.endpoint, source, priced, *detected, *CALL_KIND_CONSTANTS)
        )
    return rows


def _log_rows(first: int, end: int, total: int, at: datetime) -> Iterator[tuple[Row, int]]:
    """The LOG_COLUMNS of logs number `first` to `end` (exclusive) of `total`, each with the number of its kind of call."""
    rng = random.Random(first)
    accounts = rng.choices(range(1, ACCOUNTS + 1), cum_weights=ACCOUNT_SHARES, k=end - first)
    ranks = rng.choices(range(len(workloads.CALL_KINDS)), cum_weights=CALL_KIND_SHARES, k=end - first)
    start, interval = at - SPAN, SPAN / total
    for number, account, rank in zip(range(first, end), accounts, ranks, strict=True):
        call_kind = (rank + account) % len(workloads.CALL_KINDS)  # varies by account, so that all providers are used
        yield _log_row(number, account, call_kind, start + interval * (number + 1), rng), call_kind


def _log_row(number: int, account: int, call_kind: int, at: datetime, rng: random.Random) -> Row:
    tokens_in, tokens_out, event_id = rng.getrandbits(12), rng.getrandbits(10), f"event-{number}"
    cost = (0, 0) if call_kind == UNPRICED_CALL_KIND else (2500 * tokens_in, 10_000 * tokens_out)
    timestamp = str(at.replace(tzinfo=None))
    failed = number % 33 == 0
    return (
        f"{int(at.timestamp() * 1000):012x}7{rng.getrandbits(12):03x}8{rng.getrandbits(60):015x}",
        account,
        event_id,
        ids.lookup_key_bytes(event_id).hex(),
        f"{rng.getrandbits(48):012x}5{rng.getrandbits(12):03x}8{number:015x}",
        *(tokens_in, tokens_out, tokens_in + tokens_out),
        *(*cost, sum(cost), sum(cost)),
        50 + rng.getrandbits(13),
        500 if failed else 200,
        *(timestamp, timestamp, timestamp[:10], timestamp[:7] + "-01"),
        True,
    )


def _insert_logs(rows: list[tuple[Row, int]], call_kinds: list[Row]) -> None:
    columns = (*LOG_COLUMNS, *CALL_KIND_COLUMNS)
    names = ", ".join(columns)
    if connection.vendor == "postgresql":
        tails = ["\t".join("\\N" if value is None else str(value) for value in row) for row in call_kinds]
        text = "".join(["\t".join(map(str, row)) + "\t" + tails[call_kind] + "\n" for row, call_kind in rows])
        statement = f"COPY api_usage_logs ({names}) FROM STDIN".encode()
        with postgres.native_cursor(connection) as native, native.copy(statement) as copy:
            copy.write(text)
        return
    insert = f"INSERT INTO api_usage_logs ({names}) VALUES ({', '.join(['%s'] * len(columns))})"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(insert, [(*row, *call_kinds[call_kind]) for row, call_kind in rows])


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Drop the indexes and build them after the rows exist, which is much faster on PostgreSQL; SQLite would copy the table."""
    if connection.vendor != "postgresql":
        yield
        return
    indexes, constraints = UsageLog._meta.indexes, UsageLog._meta.constraints
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.remove_index(UsageLog, index)
        for constraint in constraints:
            editor.remove_constraint(UsageLog, constraint)
    yield
    _execute("SET maintenance_work_mem = '1GB'")
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.add_index(UsageLog, index)
        for constraint in constraints:
            editor.add_constraint(UsageLog, constraint)


def _fill_rollup(rollup: Rollup, at: datetime) -> None:
    """Fill a rollup by one GROUP BY over the log; past platform days are compacted, as after the nightly job."""
    if connection.vendor == "postgresql":
        _execute("SET work_mem = '1GB'")
    columns, positions = (*rollup.keys, *rollup.counters), ", ".join(map(str, range(1, len(rollup.keys) + 1)))
    key_expressions = ROLLUP_KEYS[rollup].format(over=f"usage_day < '{at.date() - slot_compaction.MIN_AGE}'")
    sums = ", ".join(ROLLUP_SUMS[counter] for counter in rollup.counters)
    _execute(
        f"INSERT INTO {rollup.table} ({', '.join(columns)}) SELECT {key_expressions}, {sums} FROM api_usage_logs"
        f" GROUP BY {positions} ORDER BY {positions}"
    )


def create_requests(count: int, *, at: datetime, per_second: int = 1_000) -> None:
    """Create `count` requests up to `at`, and minute counts for the last hour with `per_second` requests to ten routes."""
    _execute(
        f"INSERT INTO api_requests (id, at, route, method, status, duration_us, client_address, user_agent, poll)"
        f" SELECT {REQUEST_ID}, at, '/api/v1/route/' || mod(n, 10), 'POST', 200, 5000, '', '', false FROM (SELECT n,"
        f" %(at)s::timestamptz - n * interval '1 second' / {per_second} AS at FROM generate_series(1, %(count)s) AS n) AS rows",
        at=at,
        count=count,
    )
    requests = per_second * 60 // 20
    _execute(
        f"INSERT INTO request_minutes (minute, route, status_class, requests, errors, duration_us,"
        f" {', '.join(histogram.COLUMNS)})"
        f" SELECT date_trunc('minute', %(at)s::timestamptz) - m * interval '1 minute', '/api/v1/route/' || r, c, {requests}, 0,"
        f" {requests * 5000}, {', '.join([str(requests // 14)] * len(histogram.COLUMNS))} FROM generate_series(0, 60) AS m,"
        f" generate_series(1, 10) AS r, (VALUES (2), (4)) AS v (c)",
        at=at,
    )
    _execute("VACUUM ANALYZE api_requests, request_minutes")


def _execute(statement: str, **parameters: int | datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


def _print_progress(done: str) -> None:
    print(f"  {done}: after {time.monotonic() - STARTED:.0f} s", file=sys.stderr, flush=True)
