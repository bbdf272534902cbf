"""Response times of pages on large tables, against the same pages on a small data set or an empty table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench import large_data_set, timing
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_times
from bench.stored_databases import SMALL_DATABASE_VARIABLE, SMALL_LOGS
from billing.accounts import access
from billing.models import UsageLog
from lib.keyset import PageCursor
from monitoring import health as system_health

HEALTH_REQUESTS = 30  # per figure, which is their median
BLOCKS, REQUESTS_PER_BLOCK = 10, 20  # alternating: the median of 200 requests
MAX_DATA_AGE = timedelta(days=7)  # of a data set, because pages show recent data
HEALTH_TARGET = 2.0
DASHBOARD = "/api/v1/dashboard/"
LOGS = "/admin/billing/usagelog/"


class PageTarget(NamedTuple):
    """A page, its path in the large and the small data set, the highest ratio of the times, and the allowed queries."""

    what: str
    max_ratio: float
    path: str
    small_path: str
    max_queries: int


def measure_pages(sizes: Sizes) -> list[Measurement]:
    """The dashboards and the change list of logs, on the large data set (DATABASE_URL) and the small one."""
    logs = sizes.logs if connection.vendor == "postgresql" else sizes.logs // 10
    large, small = str(connection.settings_dict["NAME"]), os.environ[SMALL_DATABASE_VARIABLE]
    data_set = f"{connection.vendor}, {logs:,} logs"
    return [_compare_page(page, data_set, large, small) for page in _page_targets(logs // SMALL_LOGS)]


def _page_targets(size_factor: int) -> Iterator[PageTarget]:
    """The pages for a data set with `size_factor` times the logs of the small one.

    By Zipf, account number `size_factor` then has as many logs as account 1 of the small data set.
    """
    largest = f"{DASHBOARD}?account=account-1"
    yield PageTarget("account dashboard", 1.3, f"{DASHBOARD}?account=account-{size_factor}", largest, 12)
    yield PageTarget("largest account's dashboard", 3.0, largest, largest, 12)
    yield PageTarget("operator dashboard", 3.0, "/admin/", "/admin/", 20)
    yield PageTarget("changelist, first page", 1.5, LOGS, LOGS, 12)
    deep = f"{LOGS}?days=all&p={PageCursor(timezone.now() - large_data_set.SPAN / 2, UUID(int=0))}"
    yield PageTarget("changelist, half-way down", 1.5, deep, deep, 12)


def _compare_page(page: PageTarget, data_set: str, large: str, small: str) -> Measurement:
    times = [_measure_both(page, large, small, small_first=bool(block % 2)) for block in range(BLOCKS)]
    return compare_times(f"{page.what}, {data_set}", times, peer=f"at {SMALL_LOGS:,}", target=page.max_ratio)


def _measure_both(page: PageTarget, large: str, small: str, *, small_first: bool) -> tuple[float, float]:
    if small_first:
        small_seconds = _measure_block(small, page.small_path, page.max_queries)
        return _measure_block(large, page.path, page.max_queries), small_seconds
    large_seconds = _measure_block(large, page.path, page.max_queries)
    return large_seconds, _measure_block(small, page.small_path, page.max_queries)


def _measure_block(database: str, path: str, max_queries: int) -> float:
    """The median seconds of a block of requests for `path`."""
    connection.close()
    connection.settings_dict["NAME"] = database
    newest = UsageLog.objects.latest("timestamp").timestamp
    if timezone.now() - newest > MAX_DATA_AGE:
        raise RuntimeError(
            f"{database} ends on {newest:%Y-%m-%d}: drop it with `python -m bench.stored_databases --drop`"
        )
    client = _api_client() if path.startswith("/api/") else _operator_client()

    def request() -> None:
        _check_status(client.get(path).status_code)

    request()  # fills the caches of the process
    _check_queries(request, max_queries)
    return median(timing.elapsed_seconds(request) for _ in range(REQUESTS_PER_BLOCK))


def _api_client() -> Client:
    _, token = access.create_key(name="bench", scopes=["read"], at=timezone.now())
    return Client(headers={"host": "localhost", "authorization": f"Bearer {token}"})


def _operator_client() -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.get(username=large_data_set.OPERATOR))
    return client


def _check_queries(request: Callable[[], None], max_queries: int) -> None:
    """Raises RuntimeError for more than `max_queries` queries, or a query that counts a whole table."""
    with CaptureQueriesContext(connection) as context:
        request()
    queries = [query["sql"] for query in context]
    counts = [sql for sql in queries if "COUNT(*)" in sql and "LIMIT" not in sql]
    if counts or len(queries) > max_queries:
        raise RuntimeError(f"{len(queries)} queries, of which these count a table: {counts}")


def measure_health(sizes: Sizes) -> list[Measurement]:
    """`GET health/system/` with an API key, on a large and on an empty request log."""
    client = _api_client()

    def request() -> None:
        system_health.measure_cached.cache_clear()
        _check_status(client.get("/api/v1/health/system/").status_code)

    empty = _median_seconds(request)
    large_data_set.create_requests(sizes.requests, at=timezone.now())
    what = f"system health, {sizes.requests:,} requests"
    return [compare_times(what, [(_median_seconds(request), empty)], peer="on an empty table", target=HEALTH_TARGET)]


def _median_seconds(work: Callable[[], None]) -> float:
    work()  # fills the caches of the process
    return median(timing.elapsed_seconds(work) for _ in range(HEALTH_REQUESTS))


def _check_status(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"the page answered {status}")
