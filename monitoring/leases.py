"""Runs due jobs under leases, one database row per job, so that several processes can run jobs at once.

A killed run leaves its lease and the due job behind; after the lease ends, another process repeats the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q

from lib import ids, jobs
from lib.jobs import Job, ProblemFound
from monitoring.models import JobRun

MAX_RETRY_DELAY = timedelta(minutes=5)  # after a failed run
MAX_SUMMARY_LENGTH = 500
Clock = Callable[[], datetime]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobResult:
    name: str
    outcome: JobRun.Outcome
    summary: str


def run_due(clock: Clock, *, long: bool | None = None) -> Iterator[JobResult]:
    """Run the due jobs of one lane or both that no other process is running, one after another; yield their results."""
    lane = [job for job in jobs.registered() if long is None or job.is_long == long]
    _add_missing_rows(lane, clock())
    for job in lane:
        holder = _acquire(job, clock())
        if holder:
            yield _run(job, holder, clock)


def run_now(name: str, clock: Clock) -> JobResult | None:
    """Run one job, due or not. Returns None if another process is running it; raises KeyError for an unknown name."""
    job = {job.name: job for job in jobs.registered()}[name]
    _add_missing_rows([job], clock())
    make_due(name, clock())
    holder = _acquire(job, clock())
    return _run(job, holder, clock) if holder else None


def make_due(name: str, at: datetime) -> bool:
    """Make a job due, so that `run_jobs` starts it next. Returns False if it is running, or has no row."""
    free = Q(leased_until=None) | Q(leased_until__lte=at)
    return bool(JobRun.objects.filter(free, name=name).update(due_at=at))


def _add_missing_rows(lane: Sequence[Job], at: datetime) -> None:
    existing = set(JobRun.objects.values_list("name", flat=True))
    missing = [JobRun(name=job.name, due_at=at) for job in lane if job.name not in existing]
    JobRun.objects.bulk_create(missing, ignore_conflicts=True)


def _acquire(job: Job, at: datetime) -> UUID | None:
    """Acquire the lease if the job is due and free. Returns its holder id, else None."""
    holder = ids.new_id()
    free = Q(leased_until=None) | Q(leased_until__lte=at)
    due = JobRun.objects.filter(free, name=job.name, due_at__lte=at)
    return holder if due.update(holder=holder, leased_until=at + job.lease, started_at=at) else None


def _run(job: Job, holder: UUID, clock: Clock) -> JobResult:
    started = clock()
    try:
        result = JobResult(job.name, JobRun.Outcome.DONE, job.run(started))
    except ProblemFound as problem:
        result = JobResult(job.name, JobRun.Outcome.TROUBLE, str(problem))
    except Exception as error:  # A failed job must not stop the others.
        logger.exception("job %s failed", job.name)
        result = JobResult(job.name, JobRun.Outcome.FAILED, f"{type(error).__name__}: {error}")
    _release(job, holder, started, result, clock())
    return result


def _release(job: Job, holder: UUID, started: datetime, result: JobResult, at: datetime) -> None:
    """Store the result and release the lease, unless it expired and another process holds it now."""
    delay = min(job.interval, MAX_RETRY_DELAY) if result.outcome == JobRun.Outcome.FAILED else job.interval
    JobRun.objects.filter(name=job.name, holder=holder).update(
        holder=None,
        leased_until=None,
        due_at=started + delay,
        finished_at=at,
        outcome=result.outcome,
        summary=result.summary[:MAX_SUMMARY_LENGTH],
        runs=F("runs") + 1,
        failures=F("failures") + int(result.outcome != JobRun.Outcome.DONE),
    )
