"""How the periodic jobs stand, for people: which ended well, which are late, and which nobody has run. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from lib import jobs
from lib.jobs import Job
from monitoring.models import JobRun

State = Literal["ok", "running", "trouble", "failed", "late", "killed", "never"]

GRACE = timedelta(minutes=5)  # a round of other jobs, or a restart, makes nothing late
BAD: frozenset[State] = frozenset({"trouble", "failed", "late", "killed", "never"})


@dataclass(frozen=True, slots=True)
class JobState:
    """`late` and `killed` say that nobody runs the jobs, or not this one; they count more than how the last run ended."""

    name: str
    state: State
    every: timedelta
    run: JobRun | None

    @property
    def is_bad(self) -> bool:
        return self.state in BAD


def states(at: datetime) -> list[JobState]:
    """Of every registered job, in the order in which they run."""
    runs = {run.name: run for run in JobRun.objects.all()}
    return [_state(job, runs.get(job.name), at) for job in jobs.registered()]


def _state(job: Job, run: JobRun | None, at: datetime) -> JobState:
    return JobState(job.name, _word(run, at), job.every, run)


def _word(run: JobRun | None, at: datetime) -> State:
    if run is None or (run.started_at is None and run.due_at >= at - GRACE):
        return "never"
    if run.leased_until:
        return "running" if run.leased_until > at else "killed"
    if run.due_at < at - GRACE:
        return "late"
    return WORDS.get(run.outcome, "never")


WORDS: dict[str, State] = {
    JobRun.Outcome.DONE: "ok",
    JobRun.Outcome.TROUBLE: "trouble",
    JobRun.Outcome.FAILED: "failed",
}
