"""Runs due jobs under leases, one database row per job, so that several processes can run jobs at once.

A killed run leaves its lease and the due job behind; after the lease ends, another process repeats the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
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


def run_due(clock: Clock) -> Iterator[JobResult]:
    """Run the due jobs that no other process is running, one after another, and yield their results."""
    existing = set(JobRun.objects.values_list("name", flat=True))
    missing = [JobRun(name=job.name, due_at=clock()) for job in jobs.registered() if job.name not in existing]
    JobRun.objects.bulk_create(missing, ignore_conflicts=True)
    for job in jobs.registered():
        holder = _acquire(job, clock())
        if holder:
            yield _run(job, holder, clock)


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
