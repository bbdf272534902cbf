"""R5, the archive: a fault at any of its queries deletes nothing that is not kept elsewhere, and the next run goes on."""

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
from tests.billing.ledger_rows import assert_equal, record, rollups

pytestmark = pytest.mark.django_db(transaction=True)

LOGS, MOST_QUERIES = 12, 200


def test_a_fault_at_any_query(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run fails one query later than the one before, and goes on from where that one came."""
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    monkeypatch.setattr(archive_job, "PART", 1)
    calls = [{"event_id": f"e{number}", "account": f"a{number % 3}"} for number in range(LOGS)]
    record(*calls, at=IN_OCTOBER)
    archived_periods.close()
    before, failed = rollups(), 0
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault), suppress(OperationalError):
            archived_periods.archive()
        assert UsageLog.objects.count() + ArchivedEvent.objects.count() == LOGS
        assert rollups() == before
        assert_equal()
        if fault.number > 0:  # there was no such query
            break
        failed += 1

    assert failed > 20
    assert (UsageLog.objects.count(), set(archived_periods.states().values())) == (0, {"deleted"})
    assert [one.status for one in record(*calls)] == ["duplicate"] * LOGS
    assert_equal()
