"""Pages that must not grow with the tables behind them: each against itself on a small or an empty table."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench import large, rounds
from bench.outcome import Outcome, slower
from bench.rows import Sizes
from billing import access
from monitoring import health as system_health

SMALL = 10_000
TURNS = 30  # a figure is their median
CHANGELIST, HEALTH = 1.5, 2.0


def changelist(sizes: Sizes) -> list[Outcome]:
    """The first page of the usage logs, as an operator opens it."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("operator", password="-"))

    def open_page() -> None:
        _expect(client.get("/admin/billing/usagelog/").status_code)

    at = timezone.now()
    large.accounts(at)
    large.logs(sizes.logs - SMALL + 1, sizes.logs, most=sizes.logs, at=at)
    small = _time(open_page)
    large.logs(1, sizes.logs - SMALL, most=sizes.logs, at=at)
    with CaptureQueriesContext(connection) as queries:
        open_page()
    counted = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "LIMIT" not in query["sql"]]
    if counted:
        raise RuntimeError(f"the page counts a whole table: {counted[0]}")
    what = f"usage-log changelist, {sizes.logs:,} logs"
    return [slower(what, [(_time(open_page), small)], peer=f"at {SMALL:,}", target=CHANGELIST)]


def health(sizes: Sizes) -> list[Outcome]:
    """`GET health/system/`, by an API key."""
    _, token = access.create_key(name="bench", scopes=["read"], at=timezone.now())
    client = Client(headers={"host": "localhost", "authorization": f"Bearer {token}"})

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
