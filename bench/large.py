"""The data set of the targets: logs of 10,000 accounts by Zipf over 24 months and 40 providers, seeded, and its rollups.

`fill` makes it; rows of the bench that need a log alone call `accounts` and `logs`. By Zipf, account number r has one r-th of
what account 1 has.
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

from django.contrib.auth.models import User
from django.db import connection, transaction

from bench import load
from bench.statement import SUMS
from billing.ledger import rollups, slot_compaction
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup
from billing.models import Account, UsageLog
from lib import ids, postgres, upsert
from monitoring import histogram
from providers.models import Provider

ACCOUNTS = 10_000
PROVIDERS = 40
SPAN = timedelta(days=730)
BATCH = 20_000  # rows in memory at a time
LIVE = timedelta(days=1)  # as long before the end provider_minutes are filled
OPERATOR = "operator"

SHARES = tuple(accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))
KIND_SHARES = tuple(accumulate(1 / rank for rank in range(1, len(load.KINDS) + 1)))
CATEGORIES = {"seconds": "video", "images": "image", "characters": "audio", "searches": "search", "pages": "crawl"}
OWN = (
    *("id", "account_id", "event_id", "event_key", "digest", "tokens_input", "tokens_output", "tokens_total"),
    *("cost_input", "cost_output", "cost_total", "effective_nano", "response_time_ms", "status_code"),
    *("timestamp", "received_at", "usage_day", "usage_period", "is_billable"),
)
OF_KIND = (
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
CONSTANT = ("POST", "{}", 0, 0, "{}", True, 0, "", 0, "", "", "{}", "", "", "")
UNPRICED = len(load.KINDS) - 1  # the kind of call that nobody has set a price for
# Every account keeps its days in UTC, and labels are in lower case: models alone are folded.
KEYS = {
    USAGE_DAYS: "account_id, usage_day, provider, actual_provider_name, category",
    USAGE_MODELS: "account_id, usage_period, actual_provider_name, lower(model_used)",
    PLATFORM_DAYS: "usage_day, provider, actual_provider_name, category, CASE WHEN {over} THEN 0 ELSE tokens_output % 16 END",
}
# A UUIDv7 of the row's time, and of its number where others take chance.
REQUEST_ID = """(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
                || 'a' || substr(md5(n::text), 4, 15))::uuid"""
STARTED = time.monotonic()
Row = tuple[Any, ...]


def fill(count: int, *, at: datetime) -> None:
    """An empty database with `count` logs up to `at`, their rollups, and an operator."""
    User.objects.create_superuser(OPERATOR)
    accounts(at)
    with _without_indexes():
        logs(count, at=at)
    _tell("logs and their indexes")
    for rollup in KEYS:
        _roll_up(rollup, at)
        _tell(rollup.table)
    upsert.add(connection, rollups.watched(list(UsageLog.objects.filter(timestamp__gte=at - LIVE)), 0))
    if connection.vendor == "postgresql":
        _run("VACUUM ANALYZE")
    _tell("all")


def accounts(at: datetime) -> None:
    """Numbered from 1, which has the most logs. What lies before the last two months is their history."""
    billed_from = (at.date().replace(day=1) - timedelta(days=1)).replace(day=1)
    names = [f"account-{number}" for number in range(1, ACCOUNTS + 1)]
    Account.objects.bulk_create(
        Account(id=number, external_id=name, external_key=ids.key_of(name), billed_from=billed_from, created_at=at)
        for number, name in enumerate(names, 1)
    )


def logs(count: int, *, at: datetime, named: bool = True) -> None:
    """`count` logs up to `at`, oldest first; without a provider's name where not `named`."""
    kinds = _kinds(named=named)
    for first in range(0, count, BATCH):
        _store(list(_rows(first, min(first + BATCH, count), count, at)), kinds)
    if connection.vendor == "postgresql":
        _run("VACUUM ANALYZE api_usage_logs")


def _kinds(*, named: bool) -> list[Row]:
    """What the logs of each kind of call have in common: a kind of its own for each of 40 providers."""
    slugs = list(Provider.objects.order_by("slug").values_list("slug", flat=True)[:PROVIDERS])
    rows = []
    for number, (kind, slug) in enumerate(zip(load.KINDS, slugs, strict=True)):
        category, priced = CATEGORIES.get(kind.units[0], "text"), number != UNPRICED
        found = (("exact", "strong", "weak", "fallback")[number % 4], slug) if named else ("", None)
        source = "price_book" if priced else "unpriced"
        rows.append((kind.provider, category, kind.model, kind.endpoint, source, priced, *found, *CONSTANT))
    return rows


def _rows(first: int, last: int, most: int, at: datetime) -> Iterator[tuple[Row, int]]:
    """The columns of OWN of logs number `first` up to `last` of `most`, each with the number of its kind."""
    chance = random.Random(first)
    accounts = chance.choices(range(1, ACCOUNTS + 1), cum_weights=SHARES, k=last - first)
    favourites = chance.choices(range(len(load.KINDS)), cum_weights=KIND_SHARES, k=last - first)
    start, each = at - SPAN, SPAN / most
    for number, account, favourite in zip(range(first, last), accounts, favourites, strict=True):
        kind = (favourite + account) % len(load.KINDS)  # accounts have other favourites, so that all providers are used
        yield _row(number, account, kind, start + each * (number + 1), chance), kind


def _row(number: int, account: int, kind: int, at: datetime, chance: random.Random) -> Row:
    input_, output, event_id = chance.getrandbits(12), chance.getrandbits(10), f"event-{number}"
    cost = (0, 0) if kind == UNPRICED else (2500 * input_, 10_000 * output)
    moment = str(at.replace(tzinfo=None))
    failed = number % 33 == 0
    return (
        f"{int(at.timestamp() * 1000):012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}",
        account,
        event_id,
        ids.bytes_of(event_id).hex(),
        f"{chance.getrandbits(48):012x}5{chance.getrandbits(12):03x}8{number:015x}",
        *(input_, output, input_ + output),
        *(*cost, sum(cost), sum(cost)),
        50 + chance.getrandbits(13),
        500 if failed else 200,
        *(moment, moment, moment[:10], moment[:7] + "-01"),
        True,
    )


def _store(rows: list[tuple[Row, int]], kinds: list[Row]) -> None:
    columns = ", ".join((*OWN, *OF_KIND))
    if connection.vendor == "postgresql":
        tails = ["\t".join("\\N" if value is None else str(value) for value in kind) for kind in kinds]
        text = "".join(["\t".join(map(str, row)) + "\t" + tails[kind] + "\n" for row, kind in rows])
        statement = f"COPY api_usage_logs ({columns}) FROM STDIN".encode()
        with postgres.cursor(connection) as binary, binary.copy(statement) as copy:
            copy.write(text)
        return
    insert = f"INSERT INTO api_usage_logs ({columns}) VALUES ({', '.join(['%s'] * len((*OWN, *OF_KIND)))})"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(insert, [(*row, *kinds[kind]) for row, kind in rows])


@contextmanager
def _without_indexes() -> Iterator[None]:
    """PostgreSQL builds them in a fraction of the time once the rows are there. SQLite would copy the table for it."""
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
    _run("SET maintenance_work_mem = '1GB'")
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.add_index(UsageLog, index)
        for constraint in constraints:
            editor.add_constraint(UsageLog, constraint)


def _roll_up(rollup: Rollup, at: datetime) -> None:
    """One GROUP BY over the log; platform days that are over are gathered, as the nightly job leaves them."""
    if connection.vendor == "postgresql":
        _run("SET work_mem = '1GB'")
    columns, positions = (*rollup.keys, *rollup.counters), ", ".join(map(str, range(1, len(rollup.keys) + 1)))
    keys_of_logs = KEYS[rollup].format(over=f"usage_day < '{at.date() - slot_compaction.OVER}'")
    sums = ", ".join(SUMS[counter] for counter in rollup.counters)
    _run(
        f"INSERT INTO {rollup.table} ({', '.join(columns)}) SELECT {keys_of_logs}, {sums} FROM api_usage_logs"
        f" GROUP BY {positions} ORDER BY {positions}"
    )


def requests(count: int, *, at: datetime, a_second: int = 1_000) -> None:
    """`count` answered requests up to `at`, and the minutes of the last hour with `a_second` requests in ten routes."""
    _run(
        f"INSERT INTO api_requests (id, at, route, method, status, duration_us, client_address, user_agent, poll)"
        f" SELECT {REQUEST_ID}, at, '/api/v1/route/' || mod(n, 10), 'POST', 200, 5000, '', '', false FROM (SELECT n,"
        f" %(at)s::timestamptz - n * interval '1 second' / {a_second} AS at FROM generate_series(1, %(count)s) AS n) AS rows",
        at=at,
        count=count,
    )
    share = a_second * 60 // 20
    _run(
        f"INSERT INTO request_minutes (minute, route, status_class, requests, errors, duration_us,"
        f" {', '.join(histogram.COLUMNS)})"
        f" SELECT date_trunc('minute', %(at)s::timestamptz) - m * interval '1 minute', '/api/v1/route/' || r, c, {share}, 0,"
        f" {share * 5000}, {', '.join([str(share // 14)] * len(histogram.COLUMNS))} FROM generate_series(0, 60) AS m,"
        f" generate_series(1, 10) AS r, (VALUES (2), (4)) AS v (c)",
        at=at,
    )
    _run("VACUUM ANALYZE api_requests, request_minutes")


def _run(statement: str, **parameters: int | datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


def _tell(done: str) -> None:
    print(f"  {done}: after {time.monotonic() - STARTED:.0f} s", file=sys.stderr, flush=True)
