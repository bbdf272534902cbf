"""A process of its own (`python -m tests.proof.subscriber WHAT`): subscribes acct_42, or closes periods and renews.

Says "ready", waits for a line, does it, and prints what came of it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django
from django.db import close_old_connections

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLOSES = datetime(2027, 3, 4, 1, 0, tzinfo=UTC)


def main(what: str) -> None:
    django.setup()
    from billing.accounts import accounts
    from billing.plans import subscriptions
    from billing.statements import statements

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if what == "close":
        answer = str(statements.close_due(CLOSES) + subscriptions.roll(CLOSES))
    else:
        account = accounts.get("acct_42")
        assert account
        answer = str(subscriptions.subscribe(account, plan=what, cycle="monthly", actor=what, at=AT)[1])
    close_old_connections()
    sys.stdout.write(f"{answer}\n")


if __name__ == "__main__":
    main(sys.argv[1])
