"""The readiness checks: migrations, jobs, the last ledger check and dropped requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from lib import ids, jobs
from lib.readiness import CheckResult
from monitoring import metrics, readiness_checks, recorder
from monitoring.models import JobRun

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_jobs", {})
    for name in ("sweep", "verify"):
        jobs.register(name, lambda _at: "", interval=MINUTE)


def create_run(name: str, **columns: Any) -> None:
    JobRun.objects.create(
        name=name,
        **{"due_at": NOON + MINUTE, "started_at": NOON - HOUR, "finished_at": NOON, "outcome": "done", **columns},
    )


def test_an_unapplied_migration_is_critical() -> None:
    assert readiness_checks.migrations() == CheckResult("ok", "all applied")
    MigrationRecorder(connection).record_unapplied(
        "monitoring", dict(readiness_checks._latest_migrations())["monitoring"]
    )
    assert readiness_checks.migrations() == CheckResult("critical", "1 not applied")


def test_jobs_on_time_are_ok_and_unregistered_ones_are_ignored() -> None:
    create_run("sweep", due_at=NOON - 5 * MINUTE)
    create_run("verify")
    create_run("gone", due_at=NOON - 100 * MINUTE)
    assert readiness_checks.jobs() == CheckResult("ok", "2 on time")


@pytest.mark.parametrize(("leased_until", "state"), [(None, "late"), (NOON, "killed")])
def test_a_job_that_is_not_run_is_late(leased_until: datetime | None, state: str) -> None:
    create_run("sweep", due_at=NOON - 5 * MINUTE - SECOND, started_at=NOON - HOUR, leased_until=leased_until)
    assert readiness_checks.jobs() == CheckResult("warning", f"{state}: sweep")


@pytest.mark.parametrize("due_at", [NOON - 5 * MINUTE, NOON - 5 * MINUTE - SECOND])
def test_readiness_service_page_and_metrics_agree_on_late(due_at: datetime, operator: Client) -> None:
    create_run("sweep", due_at=due_at, started_at=NOON - HOUR)
    is_late = due_at < NOON - 5 * MINUTE
    assert (readiness_checks.jobs().detail == "late: sweep") == is_late
    assert ('<span class="badge warning">late</span>' in operator.get("/admin/service/").content.decode()) == is_late
    assert [job.late_seconds for job in metrics.load(NOON).jobs] == [301 if is_late else 0]


def test_a_job_that_runs_within_its_lease_is_not_late() -> None:
    create_run("sweep", due_at=NOON - 100 * MINUTE, leased_until=NOON + SECOND, holder=ids.new_id())
    assert readiness_checks.jobs() == CheckResult("ok", "1 on time")


def test_failed_jobs_are_named_without_their_error() -> None:
    create_run("sweep", outcome="failed", summary="OperationalError: host db.internal")
    create_run("verify", outcome="failed", started_at=NOON - HOUR, due_at=NOON - 11 * MINUTE)
    assert readiness_checks.jobs() == CheckResult("warning", "late: verify; failed: sweep")


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
