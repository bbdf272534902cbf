"""The readiness checks of /readyz and the `health` command.

Only a failure that makes this process unusable is critical, because a load balancer then takes it out of service.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from lib.readiness import CheckResult
from monitoring import job_states, recorder
from monitoring.models import JobRun

PROBLEMS = {"late": "late", "killed": "killed", "failed": "failed", "trouble": "problems found"}
STALE_AFTER = timedelta(days=2)  # since the last run of a nightly check


def database() -> CheckResult:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return CheckResult("ok", "reachable")


def migrations() -> CheckResult:
    applied = MigrationRecorder.Migration.objects.values_list("app", "name")
    missing = len(_latest_migrations() - set(applied))
    return CheckResult("critical", f"{missing} not applied") if missing else CheckResult("ok", "all applied")


def jobs() -> CheckResult:
    """Whether the periodic jobs run and end well."""
    states = [state for state in job_states.load_states(timezone.now()) if state.run]
    if not states:
        return CheckResult("warning", "no job has ever run")
    problems = []
    for name, text in PROBLEMS.items():
        if names := [state.name for state in states if state.state == name]:
            problems.append(f"{text}: {', '.join(names)}")
    return CheckResult("warning", "; ".join(problems)) if problems else CheckResult("ok", f"{len(states)} on time")


def last_result(job: str) -> CheckResult:
    """The result of the last run of a job that compares data."""
    run = JobRun.objects.filter(name=job).first()
    if run is None or run.finished_at is None:
        return CheckResult("warning", "has not run yet")
    time = f"on {run.finished_at:%Y-%m-%d %H:%M} UTC"
    if run.outcome == JobRun.Outcome.TROUBLE:
        return CheckResult("warning", f"differences found {time}")
    if run.outcome == JobRun.Outcome.FAILED:
        return CheckResult("warning", f"the check failed {time}")
    stale = run.finished_at < timezone.now() - STALE_AFTER
    return CheckResult("warning" if stale else "ok", f"no differences {time}")


def request_log() -> CheckResult:
    dropped = recorder.dropped()
    if dropped:
        return CheckResult("warning", f"{dropped} requests dropped since this process started")
    return CheckResult("ok", "no requests dropped")


@cache
def _latest_migrations() -> frozenset[tuple[str, str]]:
    """The latest migrations of all apps, read from disk once: the code of a running process does not change."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())
