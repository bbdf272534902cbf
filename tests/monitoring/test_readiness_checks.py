"""What each readiness check says: the schema, the jobs, the last check of the ledger, requests that were dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from lib import ids, jobs
from lib.readiness import Finding
from monitoring import readiness_checks, recorder
from monitoring.models import JobRun

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_jobs", {})
    for name in ("sweep", "verify"):
        jobs.register(name, lambda _at: "", every=MINUTE)


def ran(name: str, **columns: Any) -> None:
    JobRun.objects.create(name=name, **{"due_at": NOW + MINUTE, "finished_at": NOW, "outcome": "done", **columns})


def test_a_migration_that_is_not_applied_is_critical() -> None:
    assert readiness_checks.migrations() == Finding("ok", "all applied")
    MigrationRecorder(connection).record_unapplied("monitoring", dict(readiness_checks._shipped())["monitoring"])
    assert readiness_checks.migrations() == Finding("critical", "1 not applied")


def test_jobs_on_time_are_ok_and_one_that_nobody_registers_is_not_waited_for() -> None:
    ran("sweep", due_at=NOW - 10 * MINUTE)
    ran("verify")
    ran("gone", due_at=NOW - 100 * MINUTE)
    assert readiness_checks.jobs() == Finding("ok", "2 on time")


@pytest.mark.parametrize("leased_until", [None, NOW])
def test_a_job_that_nobody_runs_is_late(leased_until: datetime | None) -> None:
    ran("sweep", due_at=NOW - 10 * MINUTE - SECOND, leased_until=leased_until)
    assert readiness_checks.jobs() == Finding("warning", "late: sweep")


def test_a_job_that_runs_within_its_lease_is_not_late() -> None:
    ran("sweep", due_at=NOW - 100 * MINUTE, leased_until=NOW + SECOND, holder=ids.new_id())
    assert readiness_checks.jobs() == Finding("ok", "1 on time")


def test_jobs_that_failed_are_named_without_their_error() -> None:
    ran("sweep", outcome="failed", summary="OperationalError: host db.internal")
    ran("verify", outcome="failed", due_at=NOW - 11 * MINUTE)
    assert readiness_checks.jobs() == Finding("warning", "late: verify; failed: sweep, verify")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, Finding("ok", "last found equal on 2026-11-22 12:00 UTC")),
        ({"outcome": "trouble", "summary": "3"}, Finding("warning", "differences were found on 2026-11-22 12:00 UTC")),
        ({"outcome": "failed", "summary": "x"}, Finding("warning", "the check failed on 2026-11-22 12:00 UTC")),
        (
            {"finished_at": NOW - timedelta(days=2) - SECOND},
            Finding("warning", "last found equal on 2026-11-20 11:59 UTC"),
        ),
        ({"finished_at": None, "outcome": ""}, Finding("warning", "not checked yet")),
    ],
)
def test_the_last_check_of_the_ledger_is_told(columns: dict[str, Any], expected: Finding) -> None:
    ran("verify_ledger", **columns)
    assert readiness_checks.last_check("verify_ledger") == expected


def test_dropped_requests_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder._recorder, "_dropped", 3)
    assert readiness_checks.request_log() == Finding("warning", "3 requests dropped since this process started")
