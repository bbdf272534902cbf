"""Which process runs which job now: one row a job in the database is its lease, so that many processes may run them all.

A run that is killed leaves its lease behind, and the job still due: once the lease is over, the next process repeats it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q

from lib import ids, jobs
from lib.jobs import Job, Trouble
from monitoring.models import JobRun

AGAIN = timedelta(minutes=5)  # at most, after a run that failed
SUMMARY = 500
Clock = Callable[[], datetime]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ran:
    name: str
    outcome: JobRun.Outcome
    summary: str


def run_due(clock: Clock) -> Iterator[Ran]:
    """Run each job that is due and that nobody else runs, one after the other, and tell how it ended."""
    known = set(JobRun.objects.values_list("name", flat=True))
    missing = [JobRun(name=job.name, due_at=clock()) for job in jobs.registered() if job.name not in known]
    JobRun.objects.bulk_create(missing, ignore_conflicts=True)
    for job in jobs.registered():
        holder = _take(job, clock())
        if holder:
            yield _run(job, holder, clock)


def _take(job: Job, at: datetime) -> UUID | None:
    """The lease, where the job is due and free."""
    holder = ids.new_id()
    free = Q(leased_until=None) | Q(leased_until__lte=at)
    due = JobRun.objects.filter(free, name=job.name, due_at__lte=at)
    return holder if due.update(holder=holder, leased_until=at + job.lease, started_at=at) else None


def _run(job: Job, holder: UUID, clock: Clock) -> Ran:
    started = clock()
    try:
        ran = Ran(job.name, JobRun.Outcome.DONE, job.run(started))
    except Trouble as trouble:
        ran = Ran(job.name, JobRun.Outcome.TROUBLE, str(trouble))
    except Exception as error:  # One job's fault must not stop the others.
        log.exception("job %s failed", job.name)
        ran = Ran(job.name, JobRun.Outcome.FAILED, f"{type(error).__name__}: {error}")
    _finish(job, holder, started, ran, clock())
    return ran


def _finish(job: Job, holder: UUID, started: datetime, ran: Ran, at: datetime) -> None:
    """Give the lease back, unless it ran out and somebody else has it by now."""
    pause = min(job.every, AGAIN) if ran.outcome == JobRun.Outcome.FAILED else job.every
    JobRun.objects.filter(name=job.name, holder=holder).update(
        holder=None,
        leased_until=None,
        due_at=started + pause,
        finished_at=at,
        outcome=ran.outcome,
        summary=ran.summary[:SUMMARY],
        runs=F("runs") + 1,
        failures=F("failures") + int(ran.outcome != JobRun.Outcome.DONE),
    )
