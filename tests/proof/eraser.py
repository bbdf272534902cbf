"""The retention job as a process (`python -m tests.proof.eraser`): prints "step" after each committed batch."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import django

BATCH_ROWS = 10


def main() -> None:
    django.setup()
    from billing.ledger import retention

    vars(retention)["BATCH_ROWS"] = BATCH_ROWS
    before = datetime.now(UTC) + timedelta(minutes=1)
    for rule in retention.RULES:
        while rule.delete_batch(before) is not None:
            sys.stdout.write("step\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
