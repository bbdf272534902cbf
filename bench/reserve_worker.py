"""One process that reserves and settles: prints ready, waits for a line, prints done.

Run as `python -m bench.reserve_worker ours|bare COUNT`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime

import django
import psycopg

ACCOUNT = "hot"
CALL = {"provider": "gemini", "model": "gemini-2.5-flash", "usage": {"input_tokens": 900}}
Pair = Callable[[int], object]


def ours(at: datetime) -> Pair:
    from billing.accounts import accounts
    from billing.events import events
    from billing.limits import reservations
    from billing.limits.operations import Estimate, Operation
    from billing.recording import metering

    account = accounts.find([ACCOUNT])[ACCOUNT]
    source = metering.Source(account=account)
    wanted = [Operation(provider="gemini", model="gemini-2.5-flash", estimate=Estimate(input_tokens=900))]

    def pair(number: int) -> None:
        name = f"{os.getpid()}-{number}"
        reservations.reserve(account, reservations.Wanted(name, wanted, 900), at)
        event = events.parse({**CALL, "event_id": name, "reservation_id": name})
        metering.record([event], source=source, at=at)

    return pair


def bare() -> Pair:
    """A hold and its settling as two durable statements on one row; no idempotency, no log, no totals, no expiry."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def pair(_number: int) -> None:
        connection.execute("UPDATE bare_quota SET reserved = reserved + 1 WHERE used + reserved + 1 <= cap")
        connection.execute("UPDATE bare_quota SET reserved = reserved - 1, used = used + 1")

    return pair


def main(who: str, count: int) -> None:
    django.setup()
    from django.utils import timezone

    pair = ours(timezone.now()) if who == "ours" else bare()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        pair(number)
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
