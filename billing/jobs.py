"""What billing does by itself, again and again: registered with lib.jobs, run by `run_jobs`."""

from __future__ import annotations

from datetime import datetime, timedelta

from billing import ledger_check
from lib import jobs
from lib.jobs import Trouble


def verify(_at: datetime) -> str:
    """`verify_ledger` by night. Raises Trouble where the rollups and the ledger differ."""
    rows = differences = 0
    with ledger_check.snapshot():
        for part in ledger_check.check():
            rows, differences = rows + part.rows, differences + len(part.differences)
    found = f"{rows} rows compared, {differences} differences"
    if differences:
        raise Trouble(f"{found}: `manage.py verify_ledger` tells which.")
    return found


def register() -> None:
    jobs.register("verify_ledger", verify, every=timedelta(days=1), lease=timedelta(hours=3))
