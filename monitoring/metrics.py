"""What monitoring tells Prometheus: requests of the last minutes from their buckets, and the jobs. Called by config.metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from lib import jobs, metric_labels
from monitoring import traffic
from monitoring.models import JobRun, RequestMinute
from monitoring.traffic import Traffic


@dataclass(frozen=True, slots=True)
class JobState:
    """`late`: whole seconds since it was due, 0 where it is not; `failures`: runs that did not end well, since ever."""

    name: str
    late: int
    runs: int
    failures: int
    well: bool


@dataclass(frozen=True, slots=True)
class Service:
    """`routes`: requests, errors and microseconds by route, the busiest by name; `classes`: requests by status class.

    `window` is all of it together.
    """

    routes: dict[str, list[int]]
    classes: dict[int, int]
    window: Traffic
    jobs: list[JobState]


def read(at: datetime) -> Service:
    """The full minutes of HEALTH_WINDOW_MINUTES before `at`, and the running one, of every process: as health reads them."""
    start = at.replace(second=0, microsecond=0) - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    whole, routes = traffic.routes(start, at)
    counts = [(one.name, [one.traffic.requests, one.traffic.errors, one.traffic.duration_us]) for one in routes]
    return Service(routes=metric_labels.bounded(counts), classes=_classes(start, at), window=whole, jobs=_jobs(at))


def _classes(start: datetime, end: datetime) -> dict[int, int]:
    within = RequestMinute.objects.filter(minute__gte=start, minute__lte=end, requests__gt=0).order_by()
    return {leading: int(count) for leading, count in within.values_list("status_class").annotate(Sum("requests"))}


def _jobs(at: datetime) -> list[JobState]:
    """Jobs that this code knows; a run within its lease is not late."""
    known = {job.name for job in jobs.registered()}
    return [_state(run, at) for run in JobRun.objects.order_by("name") if run.name in known]


def _state(run: JobRun, at: datetime) -> JobState:
    runs_now = run.leased_until is not None and run.leased_until > at
    late = 0 if runs_now else max(int((at - run.due_at).total_seconds()), 0)
    return JobState(run.name, late, run.runs, run.failures, run.outcome in ("", JobRun.Outcome.DONE))
