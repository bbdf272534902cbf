"""A process that reserves (`python -m tests.proof.reserver NAME COUNT`) and settles every second granted reservation.

Prints "ready", waits for a line, tries COUNT times, and prints how many reservations were granted and refused, and how many
statements its session has prepared.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django
from django.db import close_old_connections, connection

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT = "acct_a"
CALL = {"provider": "video", "category": "video", "model": "wan-2.5"}


def main(name: str, count: int) -> None:
    django.setup()
    from billing.accounts.accounts import get
    from billing.events import events
    from billing.limits import reservations
    from billing.limits.decisions import Refusal
    from billing.limits.operations import Operation
    from billing.recording import metering

    account = get(ACCOUNT)
    assert account is not None
    source = metering.EventSource(account=account)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    granted = refused = 0
    for number in range(count):
        request = reservations.ReservationRequest(
            f"{name}-{number}", [Operation(provider="video", category="video")], 900
        )
        try:
            reservations.reserve(account, request, AT)
        except Refusal:
            refused += 1
            continue
        granted += 1
        if granted % 2 == 0:
            event = {**CALL, "event_id": f"{name}-{number}", "reservation_id": f"{name}-{number}"}
            assert metering.record([events.parse(event)], source=source, at=AT)[0].status == "accepted"
    sys.stdout.write(f"{granted} {refused} {prepared_statements()}\n")
    close_old_connections()


def prepared_statements() -> int:
    """Statements that this session has prepared on the server (PostgreSQL)."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
