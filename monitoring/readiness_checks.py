"""What must hold before this process takes requests, and what an operator must know: the checks of /readyz and `health`.

Only what this process cannot work without is critical: a load balancer takes it out of service then.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from lib import jobs as registry
from lib.readiness import Finding
from monitoring import recorder
from monitoring.models import JobRun

LATE = timedelta(minutes=10)  # how long after it was due a job may start; one that takes long holds the others up
STALE = timedelta(days=2)  # a nightly check that did not run for so long


def database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Finding("ok", "answers")


def migrations() -> Finding:
    applied = MigrationRecorder.Migration.objects.values_list("app", "name")
    missing = len(_shipped() - set(applied))
    return Finding("critical", f"{missing} not applied") if missing else Finding("ok", "all applied")


def jobs() -> Finding:
    """Whether somebody runs the periodic jobs. A job that is running within its lease is not late."""
    at = timezone.now()
    runs = {run.name: run for run in JobRun.objects.all()}
    known = [runs[job.name] for job in registry.registered() if job.name in runs]
    if not known:
        return Finding("warning", "no job was ever run")
    late = [run.name for run in known if run.due_at < at - LATE and not (run.leased_until and run.leased_until > at)]
    failed = [run.name for run in known if run.outcome == JobRun.Outcome.FAILED]
    told = [f"{what}: {', '.join(names)}" for what, names in (("late", late), ("failed", failed)) if names]
    return Finding("warning", "; ".join(told)) if told else Finding("ok", f"{len(known)} on time")


def last_check(job: str) -> Finding:
    """How a job that checks something ended when it last ran."""
    run = JobRun.objects.filter(name=job).first()
    if run is None or run.finished_at is None:
        return Finding("warning", "not checked yet")
    when = f"on {run.finished_at:%Y-%m-%d %H:%M} UTC"
    if run.outcome == JobRun.Outcome.TROUBLE:
        return Finding("warning", f"differences were found {when}")
    if run.outcome == JobRun.Outcome.FAILED:
        return Finding("warning", f"the check failed {when}")
    stale = run.finished_at < timezone.now() - STALE
    return Finding("warning" if stale else "ok", f"last found equal {when}")


def request_log() -> Finding:
    dropped = recorder.dropped()
    if dropped:
        return Finding("warning", f"{dropped} requests dropped since this process started")
    return Finding("ok", "no requests dropped")


@cache
def _shipped() -> frozenset[tuple[str, str]]:
    """The last migrations of every app, read from disk once: a running process never gets other code."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())
