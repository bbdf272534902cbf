"""`python -m bench.reserve_worker tollgate|updates COUNT`: a process that reserves and settles COUNT times.

It prints ready, waits for a line, and prints done at the end.
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
ReserveAndSettle = Callable[[int], object]


def tollgate_pairs(at: datetime) -> ReserveAndSettle:
    from billing.accounts import accounts
    from billing.events import events
    from billing.limits import reservations
    from billing.limits.operations import Estimate, Operation
    from billing.recording import metering

    account = accounts.find([ACCOUNT])[ACCOUNT]
    source = metering.EventSource(account=account)
    operations = [Operation(provider="gemini", model="gemini-2.5-flash", estimate=Estimate(input_tokens=900))]

    def reserve_and_settle(number: int) -> None:
        name = f"{os.getpid()}-{number}"
        reservations.reserve(account, reservations.ReservationRequest(name, operations, 900), at)
        event = events.parse({**CALL, "event_id": name, "reservation_id": name})
        metering.record([event], source=source, at=at)

    return reserve_and_settle


def update_pairs() -> ReserveAndSettle:
    """Reserve and settle as two durable updates of one row; without idempotency, log, totals or expiry."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def reserve_and_settle(_number: int) -> None:
        connection.execute("UPDATE bare_quota SET reserved = reserved + 1 WHERE used + reserved + 1 <= cap")
        connection.execute("UPDATE bare_quota SET reserved = reserved - 1, used = used + 1")

    return reserve_and_settle


def main(contender: str, count: int) -> None:
    django.setup()
    from django.utils import timezone

    reserve_and_settle = tollgate_pairs(timezone.now()) if contender == "tollgate" else update_pairs()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        reserve_and_settle(number)
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
