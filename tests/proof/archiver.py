"""The archive in a process of its own (`python -m tests.proof.archiver`): says "step" after each committed one."""

from __future__ import annotations

import sys
from datetime import timedelta
from unittest import mock

import django

PART = 20


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from billing.archive import archive_job
    from tests.billing.archived_periods import DUE, HOUR

    vars(archive_job)["PART"] = PART
    for at in (DUE, DUE + HOUR):
        with mock.patch.object(timezone, "now", return_value=at):
            while archive_job.RULE.step(at - timedelta(days=settings.KEEP_LOGS_DAYS)) is not None:
                sys.stdout.write("step\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
