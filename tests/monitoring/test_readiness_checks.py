"""The readiness checks: migrations, jobs, the last ledger check and dropped requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from lib import ids, jobs
from lib.readiness import CheckResult
from monitoring import readiness_checks, recorder
from monitoring.models import JobRun

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_jobs", {})
    for name in ("sweep", "verify"):
        jobs.register(name, lambda _at: "", interval=MINUTE)


def create_run(name: str, **columns: Any) -> None:
    JobRun.objects.create(name=name, **{"due_at": NOON + MINUTE, "finished_at": NOON, "outcome": "done", **columns})


def test_an_unapplied_migration_is_critical() -> None:
    assert readiness_checks.migrations() == CheckResult("ok", "all applied")
    MigrationRecorder(connection).record_unapplied(
        "monitoring", dict(readiness_checks._latest_migrations())["monitoring"]
    )
    assert readiness_checks.migrations() == CheckResult("critical", "1 not applied")


def test_jobs_on_time_are_ok_and_unregistered_ones_are_ignored() -> None:
    create_run("sweep", due_at=NOON - 10 * MINUTE)
    create_run("verify")
    create_run("gone", due_at=NOON - 100 * MINUTE)
    assert readiness_checks.jobs() == CheckResult("ok", "2 on time")


@pytest.mark.parametrize("leased_until", [None, NOON])
def test_a_job_that_is_not_run_is_late(leased_until: datetime | None) -> None:
    create_run("sweep", due_at=NOON - 10 * MINUTE - SECOND, leased_until=leased_until)
    assert readiness_checks.jobs() == CheckResult("warning", "late: sweep")


def test_a_job_that_runs_within_its_lease_is_not_late() -> None:
    create_run("sweep", due_at=NOON - 100 * MINUTE, leased_until=NOON + SECOND, holder=ids.new_id())
    assert readiness_checks.jobs() == CheckResult("ok", "1 on time")


def test_failed_jobs_are_named_without_their_error() -> None:
    create_run("sweep", outcome="failed", summary="OperationalError: host db.internal")
    create_run("verify", outcome="failed", due_at=NOON - 11 * MINUTE)
    assert readiness_checks.jobs() == CheckResult("warning", "late: verify; failed: sweep, verify")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, CheckResult("ok", "no differences on 2026-11-22 12:00 UTC")),
        ({"outcome": "trouble", "summary": "3"}, CheckResult("warning", "differences found on 2026-11-22 12:00 UTC")),
        ({"outcome": "failed", "summary": "x"}, CheckResult("warning", "the check failed on 2026-11-22 12:00 UTC")),
        (
            {"finished_at": NOON - timedelta(days=2) - SECOND},
            CheckResult("warning", "no differences on 2026-11-20 11:59 UTC"),
        ),
        ({"finished_at": None, "outcome": ""}, CheckResult("warning", "has not run yet")),
    ],
)
def test_the_last_ledger_check_is_reported(columns: dict[str, Any], expected: CheckResult) -> None:
    create_run("verify_ledger", **columns)
    assert readiness_checks.last_result("verify_ledger") == expected


def test_dropped_requests_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder._recorder, "_dropped", 3)
    assert readiness_checks.request_log() == CheckResult("warning", "3 requests dropped since this process started")
