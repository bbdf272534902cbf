"""A process that subscribes acct_42 to a plan, or closes periods and renews: `python -m tests.proof.subscriber TASK`.

TASK is PLAN, PLAN:yearly or close.

Prints "ready", waits for a line, does its task and prints the result.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django
from django.db import close_old_connections

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLOSE_AT = datetime(2027, 3, 4, 1, 0, tzinfo=UTC)


def main(task: str) -> None:
    django.setup()
    from billing.accounts import accounts
    from billing.plans import subscriptions
    from billing.statements import statements

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if task == "close":
        result = str(statements.close_due(CLOSE_AT) + subscriptions.renew_due(CLOSE_AT))
    else:
        account = accounts.get("acct_42")
        assert account
        plan, _, cycle = task.partition(":")
        result = str(subscriptions.subscribe(account, plan=plan, cycle=cycle or "monthly", actor=task, at=AT)[1])
    close_old_connections()
    sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main(sys.argv[1])
