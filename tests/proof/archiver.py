"""The archive in a process of its own (`python -m tests.proof.archiver`): says "step" after each committed one."""

from __future__ import annotations

import sys
from datetime import timedelta

import django
import time_machine

PART = 20


def main() -> None:
    django.setup()
    from django.conf import settings

    from billing.archive import archive_job
    from tests.billing.archived_periods import DUE, HOUR

    vars(archive_job)["PART"] = PART
    for at in (DUE, DUE + HOUR):
        with time_machine.travel(at, tick=False):
            while archive_job.RULE.step(at - timedelta(days=settings.KEEP_LOGS_DAYS)) is not None:
                sys.stdout.write("step\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
