"""Figures for Prometheus: the requests of the last minutes, and the jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from lib import health_status, metric_labels
from monitoring import job_states, traffic
from monitoring.models import JobRun, RequestMinute
from monitoring.traffic import Traffic


@dataclass(frozen=True, slots=True)
class JobFigures:
    """`late_seconds`: since it was due, 0 if it is not late; `failures`: all runs that did not end well."""

    name: str
    late_seconds: int
    runs: int
    failures: int
    is_ok: bool


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """`routes`: requests, errors and microseconds of the busiest routes, and of all others as "other".

    `requests_by_class`: requests by status class. `total`: all requests of the health window.
    """

    routes: dict[str, list[int]]
    requests_by_class: dict[int, int]
    total: Traffic
    jobs: list[JobFigures]


def load(at: datetime) -> ServiceFigures:
    """Load the figures of the health window before `at`, of all processes, with the current minute as health does."""
    start = health_status.window_start(at)
    total, routes = traffic.route_traffic(start, at)
    counts = [
        (route.name, [route.traffic.requests, route.traffic.errors, route.traffic.duration_us]) for route in routes
    ]
    return ServiceFigures(
        routes=metric_labels.limit_labels(counts),
        requests_by_class=_requests_by_class(start, at),
        total=total,
        jobs=_jobs(at),
    )


def _requests_by_class(start: datetime, end: datetime) -> dict[int, int]:
    minutes = RequestMinute.objects.filter(minute__gte=start, minute__lte=end, requests__gt=0).order_by()
    return {digit: int(count) for digit, count in minutes.values_list("status_class").annotate(Sum("requests"))}


def _jobs(at: datetime) -> list[JobFigures]:
    """The registered jobs that have a row, sorted by name."""
    states = sorted(job_states.load_states(at), key=lambda state: state.name)
    return [_job_figures(state.run, state.late_seconds) for state in states if state.run]


def _job_figures(run: JobRun, late_seconds: int) -> JobFigures:
    return JobFigures(run.name, late_seconds, run.runs, run.failures, run.outcome in ("", JobRun.Outcome.DONE))
