"""A process that sweeps, delivers or records (`python -m tests.proof.alerter WHAT`): says "ready", waits for a line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django
from django.db import close_old_connections

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def main(what: str) -> None:
    django.setup()
    from django.conf import settings

    from billing.accounts import accounts
    from billing.alerts import alerts, deliveries
    from billing.events import events
    from billing.recording import metering

    settings.WEBHOOK_ALLOW_PRIVATE, settings.ALERT_EMAILS = True, ["operator@example.com"]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if what == "sweep":
        told = alerts.sweep(AT).alerts
    elif what == "deliver":
        told = deliveries.deliver(AT).delivered
    else:
        source, told = metering.Source(account=accounts.get("acct_42")), 0
        for number in range(10):
            event = events.parse({"event_id": f"{what}-{number}", "provider": "video"})
            told += metering.record([event], source=source, at=AT)[0].status == "accepted"
    close_old_connections()
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main(sys.argv[1])
