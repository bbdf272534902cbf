"""The state of each periodic job: ok, running, late, failed, killed or never run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from lib import jobs
from lib.jobs import Job
from monitoring.models import JobRun

StateName = Literal["ok", "running", "trouble", "failed", "late", "killed", "never"]

LATE_AFTER = timedelta(minutes=5)  # so that other jobs or a restart do not make a job late
PROBLEM_STATES: frozenset[StateName] = frozenset({"trouble", "failed", "late", "killed", "never"})


@dataclass(frozen=True, slots=True)
class JobState:
    """`late` and `killed` mean that no process runs the job; they override the outcome of the last run."""

    name: str
    state: StateName
    interval: timedelta
    run: JobRun | None

    @property
    def has_problem(self) -> bool:
        return self.state in PROBLEM_STATES


def load_states(at: datetime) -> list[JobState]:
    """The states of all registered jobs, in the order in which they run."""
    runs = {run.name: run for run in JobRun.objects.all()}
    return [_state(job, runs.get(job.name), at) for job in jobs.registered()]


def _state(job: Job, run: JobRun | None, at: datetime) -> JobState:
    return JobState(job.name, _state_name(run, at), job.interval, run)


def _state_name(run: JobRun | None, at: datetime) -> StateName:
    if run is None or (run.started_at is None and run.due_at >= at - LATE_AFTER):
        return "never"
    if run.leased_until:
        return "running" if run.leased_until > at else "killed"
    if run.due_at < at - LATE_AFTER:
        return "late"
    return STATE_BY_OUTCOME.get(run.outcome, "never")


STATE_BY_OUTCOME: dict[str, StateName] = {
    JobRun.Outcome.DONE: "ok",
    JobRun.Outcome.TROUBLE: "trouble",
    JobRun.Outcome.FAILED: "failed",
}
