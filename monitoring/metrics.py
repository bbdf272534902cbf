"""What monitoring tells Prometheus: requests of the last minutes from their buckets, and the jobs. Called by config.metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from lib import jobs, series
from monitoring import histogram
from monitoring.entries import DROPPED
from monitoring.models import JobRun, RequestMinute


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

    `latency` counts requests up to each bound of the histogram, and above. `dropped` were answered and not logged.
    """

    routes: dict[str, list[int]]
    classes: dict[int, int]
    latency: list[int]
    jobs: list[JobState]
    dropped: int


def read(at: datetime) -> Service:
    """The full minutes of HEALTH_WINDOW_MINUTES before `at`, and the running one, of every process."""
    start = at.replace(second=0, microsecond=0) - timedelta(minutes=settings.HEALTH_WINDOW_MINUTES)
    within = RequestMinute.objects.filter(minute__gte=start, minute__lte=at).order_by()
    known = within.exclude(route=DROPPED)
    routes = known.values_list("route").annotate(Sum("requests"), Sum("errors"), Sum("duration_us"))
    classes = known.values_list("status_class").annotate(Sum("requests"))
    columns = within.aggregate(**{f"sum_{column}": Sum(column) for column in (*histogram.COLUMNS, "dropped")})
    return Service(
        routes=series.bounded((route, [int(count) for count in counts]) for route, *counts in routes),
        classes={leading: int(count) for leading, count in classes},
        latency=[int(columns[f"sum_{column}"] or 0) for column in histogram.COLUMNS],
        jobs=_jobs(at),
        dropped=int(columns["sum_dropped"] or 0),
    )


def _jobs(at: datetime) -> list[JobState]:
    """Jobs that this code knows; a run within its lease is not late."""
    known = {job.name for job in jobs.registered()}
    return [_state(run, at) for run in JobRun.objects.order_by("name") if run.name in known]


def _state(run: JobRun, at: datetime) -> JobState:
    runs_now = run.leased_until is not None and run.leased_until > at
    late = 0 if runs_now else max(int((at - run.due_at).total_seconds()), 0)
    return JobState(run.name, late, run.runs, run.failures, run.outcome in ("", JobRun.Outcome.DONE))
