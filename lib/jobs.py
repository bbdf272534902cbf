"""The registry of periodic jobs. Each app registers its jobs when it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

QUICK_LEASE = timedelta(minutes=15)
JobFunction = Callable[[datetime], str]


class ProblemFound(Exception):
    """A job did its work and found a problem that an operator must look at. Operators see the text."""


@dataclass(frozen=True, slots=True)
class Job:
    """`run` takes the time and returns one line about what it did. It may be killed and repeated at any moment.

    It raises ProblemFound for bad news. `lease` must exceed any run time: after it, another process may start the job again.
    A job that may need more than QUICK_LEASE runs in the long lane, so that no quick job waits for it.
    """

    name: str
    interval: timedelta
    lease: timedelta
    run: JobFunction

    @property
    def is_long(self) -> bool:
        return self.lease > QUICK_LEASE


_jobs: dict[str, Job] = {}


def register(name: str, run: JobFunction, *, interval: timedelta, lease: timedelta = QUICK_LEASE) -> None:
    _jobs[name] = Job(name, interval, lease, run)


def registered() -> tuple[Job, ...]:
    """The jobs in the order of registration."""
    return tuple(_jobs.values())
