"""R5: a fault at any query of the archive job loses no log, and the next run continues."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from billing.archive import archive_job
from billing.models import ArchivedEvent, UsageLog
from tests.billing import archived_periods
from tests.billing.archived_periods import IN_OCTOBER
from tests.billing.faults import Fault
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups

pytestmark = pytest.mark.django_db(transaction=True)

LOG_COUNT, MAX_QUERIES = 12, 200


def test_a_fault_at_any_query_loses_no_log(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run fails one query later than the previous run, and continues where that one stopped."""
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    monkeypatch.setattr(archive_job, "LOGS_PER_PART", 1)
    calls = [{"event_id": f"e{number}", "account": f"a{number % 3}"} for number in range(LOG_COUNT)]
    record(*calls, at=IN_OCTOBER)
    archived_periods.close_periods()
    before, failed_runs = rollups(), 0
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault), suppress(OperationalError):
            archived_periods.export_and_delete()
        assert UsageLog.objects.count() + ArchivedEvent.objects.count() == LOG_COUNT
        assert rollups() == before
        assert_ledger_consistent()
        if fault.number > 0:  # the run has fewer queries
            break
        failed_runs += 1

    assert failed_runs > 20
    assert (UsageLog.objects.count(), set(archived_periods.archive_states().values())) == (0, {"deleted"})
    assert [result.status for result in record(*calls)] == ["duplicate"] * LOG_COUNT
    assert_ledger_consistent()
