"""The archive job as a process (`python -m tests.proof.archiver`): prints "step" after each committed step."""

from __future__ import annotations

import sys
from datetime import timedelta

import django
import time_machine

LOGS_PER_PART = 20


def main() -> None:
    django.setup()
    from django.conf import settings

    from billing.archive import archive_job
    from tests.billing.archived_periods import DUE_AT, HOUR

    vars(archive_job)["LOGS_PER_PART"] = LOGS_PER_PART
    for at in (DUE_AT, DUE_AT + HOUR):
        with time_machine.travel(at, tick=False):
            while archive_job.RULE.delete_batch(at - timedelta(days=settings.KEEP_LOGS_DAYS)) is not None:
                sys.stdout.write("step\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
