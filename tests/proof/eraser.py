"""Retention in a process of its own (`python -m tests.proof.eraser`): says "step" after each committed batch."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import django

SIZE = 10


def main() -> None:
    django.setup()
    from billing.ledger import retention

    vars(retention)["BATCH"] = SIZE
    before = datetime.now(UTC) + timedelta(minutes=1)
    for rule in retention.RULES:
        while rule.step(before) is not None:
            sys.stdout.write("step\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
