"""What the tests of the archive share: October of two accounts, closed with statements, and the job by the hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import time_machine

from billing.archive import archive_job
from billing.models import Account, Archive
from billing.recording.metering import Result
from billing.statements import statements
from lib import jobs
from tests.billing.ledger_rows import record

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
IN_OCTOBER, IN_NOVEMBER = datetime(2026, 10, 20, 12, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
CLOSED, DUE = datetime(2026, 11, 4, 2, tzinfo=UTC), datetime(2027, 1, 3, 3, tzinfo=UTC)  # 60 days later
HOUR = timedelta(hours=1)
ERROR = 'two\nlines, "quoted",\rand a lone return\r\n\t'
CALLS: tuple[dict[str, Any], ...] = (
    {"cost_usd": "1.5", "usage": {"input_tokens": 7, "output_tokens": 2}, "response_time_ms": 40},
    {"cost_usd": None, "model": "brand-new-1", "usage": {"input_tokens": 1000}},  # unpriced
    {"provider": "gemini", "status_code": 503, "error_message": ERROR, "ip_address": "192.0.2.1"},
    {"provider": "exa", "metadata": {"b": [1, {"c": "ü"}], "a": None}, "event_id": "=1+1"},
    {"account": "b", "user_agent": "curl", "error_message": "a lone\rreturn"},
)


def october() -> list[Result]:
    """Five calls of October by accounts `a` and `b`, closed; and one of November, which is not. The results of October's."""
    results = record(*CALLS, at=IN_OCTOBER)
    record({"event_id": "later"}, at=IN_NOVEMBER)
    close()
    return results


def close() -> None:
    Account.objects.update(next_close_at=None)
    statements.close_due(CLOSED)


def run(at: datetime = DUE, *, clock: datetime | None = None) -> str:
    """The job; what it says, or its trouble. By its `clock` it may have begun a while ago."""
    try:
        with time_machine.travel(clock or at, tick=False):
            return archive_job.run(at)
    except jobs.Trouble as trouble:
        return str(trouble)


def archive(at: datetime = DUE) -> None:
    """All of it: what is due at a time is written then, and deleted after the hour."""
    run(at)
    run(at + HOUR)


def states() -> dict[str, str]:
    """By account; or what troubles it."""
    return {one.account.external_id: one.trouble or one.state for one in Archive.objects.select_related("account")}
