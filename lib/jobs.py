"""The registry of periodic jobs. Apps register theirs when they start; `run_jobs` runs what is due, under a lease each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

Run = Callable[[datetime], str]


class Trouble(Exception):
    """What a job found that somebody must look at; its text is shown to operators. The job itself has done its work."""


@dataclass(frozen=True, slots=True)
class Job:
    """`run` is given the time and answers one line on what it did; it may be killed and repeated at any moment.

    Raises Trouble for bad news. `lease`: longer than it ever takes, as another process may start it again after that.
    """

    name: str
    every: timedelta
    lease: timedelta
    run: Run


_jobs: dict[str, Job] = {}


def register(name: str, run: Run, *, every: timedelta, lease: timedelta = timedelta(minutes=15)) -> None:
    _jobs[name] = Job(name, every, lease, run)


def registered() -> tuple[Job, ...]:
    """In the order of registration."""
    return tuple(_jobs.values())
