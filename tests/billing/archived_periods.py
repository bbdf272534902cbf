"""Shared by the archive tests: two accounts with a closed October, and runs of the archive job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import time_machine

from billing.archive import archive_file, archive_job
from billing.models import Account, Archive
from billing.recording.metering import Result
from billing.statements import statements
from lib import jobs
from tests.billing.ledger_rows import record

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
IN_OCTOBER, IN_NOVEMBER = datetime(2026, 10, 20, 12, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
CLOSED_AT, DUE_AT = datetime(2026, 11, 4, 2, tzinfo=UTC), datetime(2027, 1, 3, 3, tzinfo=UTC)  # 60 days later
HOUR = timedelta(hours=1)
ERROR_MESSAGE = 'two\nlines, "quoted",\rand a lone return\r\n\t'
OCTOBER_CALLS: tuple[dict[str, Any], ...] = (
    {"cost_usd": "1.5", "usage": {"input_tokens": 7, "output_tokens": 2}, "response_time_ms": 40},
    {"cost_usd": None, "model": "brand-new-1", "usage": {"input_tokens": 1000}},  # unpriced
    {"provider": "gemini", "status_code": 503, "error_message": ERROR_MESSAGE, "ip_address": "192.0.2.1"},
    {"provider": "exa", "metadata": {"b": [1, {"c": "ü"}], "a": None}, "event_id": "=1+1"},
    {"account": "b", "user_agent": "curl", "error_message": "a lone\rreturn"},
)


def account_folder(folder: Path, account: str = "a") -> Path:
    """Where the archives of an account are."""
    return folder / archive_file.folder_for(Account.objects.get(external_id=account).pk)


def record_october() -> list[Result]:
    """Records five October calls of accounts `a` and `b`, closes October, and records one November call. Returns October's."""
    results = record(*OCTOBER_CALLS, at=IN_OCTOBER)
    record({"event_id": "later"}, at=IN_NOVEMBER)
    close_periods()
    return results


def close_periods() -> None:
    Account.objects.update(next_close_at=None)
    statements.close_due(CLOSED_AT)


def run_job(at: datetime = DUE_AT, *, clock: datetime | None = None) -> str:
    """Runs the job as scheduled for `at`, with the clock at `clock`. Returns its message, or its problem."""
    try:
        with time_machine.travel(clock or at, tick=False):
            return archive_job.run(at)
    except jobs.ProblemFound as problem:
        return str(problem)


def export_and_delete(at: datetime = DUE_AT) -> None:
    """Runs the job twice: exports the periods that are due at `at`, and deletes their logs an hour later."""
    run_job(at)
    run_job(at + HOUR)


def archive_states() -> dict[str, str]:
    """Each account's archive state, or its problem."""
    archives = Archive.objects.select_related("account")
    return {archive.account.external_id: archive.trouble or archive.state for archive in archives}
