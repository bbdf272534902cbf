"""A process that sweeps, delivers or records (`python -m tests.proof.alerter TASK`).

Prints "ready", waits for a line, does its task and prints how many alerts, deliveries or events it counted.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django
from django.db import close_old_connections

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def main(task: str) -> None:
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
    if task == "sweep":
        count = alerts.sweep(AT).alerts
    elif task == "deliver":
        count = deliveries.deliver(AT).delivered
    else:
        source, count = metering.EventSource(account=accounts.get("acct_42")), 0
        for number in range(10):
            event = events.parse({"event_id": f"{task}-{number}", "provider": "video"})
            count += metering.record([event], source=source, at=AT)[0].status == "accepted"
    close_old_connections()
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main(sys.argv[1])
