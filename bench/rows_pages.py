"""Pages that must not grow with the tables behind them: each against itself on a small data set, or on an empty table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench import large, rounds
from bench.outcome import Outcome, slower
from bench.rows import Sizes
from bench.stored_databases import PEER, SMALL
from billing.accounts import access
from billing.models import UsageLog
from lib.keyset import Mark
from monitoring import health as system_health

TURNS = 30  # a figure is their median
BLOCKS, BLOCK = 10, 20  # of the pages, alternated: the median of 200
OLDEST = timedelta(days=7)  # of a data set: pages look back from now
HEALTH = 2.0
DASHBOARD = "/api/v1/dashboard/"
LOGS = "/admin/billing/usagelog/"


class Page(NamedTuple):
    """A page's address in the large data set and in the small one, and how many queries it may make."""

    what: str
    target: float
    address: str
    small: str
    queries: int


def pages(sizes: Sizes) -> list[Outcome]:
    """The dashboards and the list of logs, in the large data set (DATABASE_URL) and in the small one (PEER)."""
    logs = sizes.logs if connection.vendor == "postgresql" else sizes.logs // 10
    names = (str(connection.settings_dict["NAME"]), os.environ[PEER])
    return [_compared(page, f"{connection.vendor}, {logs:,} logs", *names) for page in _pages(logs // SMALL)]


def _pages(times: int) -> Iterator[Page]:
    """`times` as many logs: by Zipf, so many accounts down is one of the size of the small set's largest."""
    largest = f"{DASHBOARD}?account=account-1"
    yield Page("account dashboard", 1.3, f"{DASHBOARD}?account=account-{times}", largest, 12)
    yield Page("largest account's dashboard", 3.0, largest, largest, 12)
    yield Page("operator dashboard", 3.0, "/admin/", "/admin/", 20)
    yield Page("changelist, first page", 1.5, LOGS, LOGS, 12)
    deep = f"{LOGS}?days=all&p={Mark(timezone.now() - large.SPAN / 2, UUID(int=0))}"
    yield Page("changelist, half-way down", 1.5, deep, deep, 12)


def _compared(page: Page, where: str, name: str, peer: str) -> Outcome:
    times = [_both(page, name, peer, swapped=bool(block % 2)) for block in range(BLOCKS)]
    return slower(f"{page.what}, {where}", times, peer=f"at {SMALL:,}", target=page.target)


def _both(page: Page, name: str, peer: str, *, swapped: bool) -> tuple[float, float]:
    if swapped:
        small = _block(peer, page.small, page.queries)
        return _block(name, page.address, page.queries), small
    return _block(name, page.address, page.queries), _block(peer, page.small, page.queries)


def _block(name: str, address: str, most: int) -> float:
    connection.close()
    connection.settings_dict["NAME"] = name
    newest = UsageLog.objects.latest("timestamp").timestamp
    if timezone.now() - newest > OLDEST:
        raise RuntimeError(f"{name} ends on {newest:%Y-%m-%d}: drop it with `python -m bench.stored_databases --drop`")
    client = _program() if address.startswith("/api/") else _operator()

    def ask() -> None:
        _expect(client.get(address).status_code)

    ask()  # what is loaded once a process
    _check_queries(ask, most)
    return median(rounds.seconds(ask) for _ in range(BLOCK))


def _program() -> Client:
    _, token = access.create_key(name="bench", scopes=["read"], at=timezone.now())
    return Client(headers={"host": "localhost", "authorization": f"Bearer {token}"})


def _operator() -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username=large.OPERATOR))
    return client


def _check_queries(ask: Callable[[], None], most: int) -> None:
    """No more than the target has, and none that counts a whole table."""
    with CaptureQueriesContext(connection) as queries:
        ask()
    told = [query["sql"] for query in queries]
    counted = [sql for sql in told if "COUNT(*)" in sql and "LIMIT" not in sql]
    if counted or len(told) > most:
        raise RuntimeError(f"{len(told)} queries, counting: {counted}")


def health(sizes: Sizes) -> list[Outcome]:
    """`GET health/system/`, by an API key."""
    client = _program()

    def ask() -> None:
        system_health.measured_in.cache_clear()
        _expect(client.get("/api/v1/health/system/").status_code)

    empty = _time(ask)
    large.requests(sizes.requests, at=timezone.now())
    what = f"system health, {sizes.requests:,} requests"
    return [slower(what, [(_time(ask), empty)], peer="on an empty table", target=HEALTH)]


def _time(work: Callable[[], None]) -> float:
    work()  # what is loaded once a process
    return median(rounds.seconds(work) for _ in range(TURNS))


def _expect(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"the page answered {status}")
