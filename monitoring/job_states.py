"""The state of each periodic job: ok, running, late, failed, killed or never run.

The only definition of "late": due for more than LATE_AFTER and not running. A long job is not late while another one runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from lib import jobs
from lib.jobs import Job
from monitoring.models import JobRun

StateName = Literal["ok", "running", "trouble", "failed", "late", "killed", "never"]

LATE_AFTER = timedelta(minutes=5)  # so that other quick jobs or a restart do not make a job late
PROBLEM_STATES: frozenset[StateName] = frozenset({"trouble", "failed", "late", "killed", "never"})


@dataclass(frozen=True, slots=True)
class JobState:
    """`late` and `killed` mean that no process runs the job; they override the outcome of the last run.

    `late_seconds`: since a late job was due; 0 for a job that is not late.
    """

    name: str
    state: StateName
    interval: timedelta
    run: JobRun | None
    late_seconds: int

    @property
    def has_problem(self) -> bool:
        return self.state in PROBLEM_STATES


def load_states(at: datetime) -> list[JobState]:
    """The states of all registered jobs, in the order in which they run."""
    registered, runs = jobs.registered(), {run.name: run for run in JobRun.objects.all()}
    long_runs = [runs[job.name] for job in registered if job.is_long and job.name in runs]
    long_lane_is_busy = any(_is_running(run, at) for run in long_runs)
    return [_state(job, runs.get(job.name), at, may_wait=job.is_long and long_lane_is_busy) for job in registered]


def _state(job: Job, run: JobRun | None, at: datetime, *, may_wait: bool) -> JobState:
    overdue = timedelta() if run is None or may_wait or _is_running(run, at) else at - run.due_at
    late_seconds = int(overdue.total_seconds()) if overdue > LATE_AFTER else 0
    return JobState(job.name, _state_name(run, at, is_late=late_seconds > 0), job.interval, run, late_seconds)


def _is_running(run: JobRun, at: datetime) -> bool:
    return run.leased_until is not None and run.leased_until > at


def _state_name(run: JobRun | None, at: datetime, *, is_late: bool) -> StateName:
    if run is None or (run.started_at is None and not is_late):
        return "never"
    if run.leased_until:
        return "running" if _is_running(run, at) else "killed"
    if is_late:
        return "late"
    return STATE_BY_OUTCOME.get(run.outcome, "never")


STATE_BY_OUTCOME: dict[str, StateName] = {
    JobRun.Outcome.DONE: "ok",
    JobRun.Outcome.TROUBLE: "trouble",
    JobRun.Outcome.FAILED: "failed",
}
