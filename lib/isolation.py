"""Runs the parts of a job or batch, mostly accounts, so that a failure of one part does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from django.db import InterfaceError, OperationalError

from lib import retry
from lib.jobs import ProblemFound

Result = TypeVar("Result")

MAX_LISTED = 10  # problems in a summary
MAX_REASON_LENGTH = 120  # characters of an error
LOCK_CODES = {*retry.DEADLOCK_CODES, "55P03"}  # with PostgreSQL's lock_timeout
SQLITE_OVERFLOW = "integer overflow"  # of a sum; the other databases raise DataError
logger = logging.getLogger(__name__)


@contextmanager
def collect(problems: list[str] | None) -> Iterator[list[str]]:
    """The list that `attempt` adds to: the caller's own. Without one, raises ProblemFound at the end, so nothing is hidden."""
    collected = [] if problems is None else problems
    yield collected
    if problems is None and collected:
        raise ProblemFound("; ".join(collected))


def attempt(
    work: Callable[[], Result], *, name: str, problems: list[str], passing: tuple[type[Exception], ...] = ()
) -> Result | None:
    """What `work` returns; or None after an exception, which is logged and added to `problems` as "name: reason".

    Raises the exceptions in `passing`, and those of a database that does not answer: they would stop every other part too.
    """
    try:
        return work()
    except passing:
        raise
    except Exception as error:
        if _is_database_away(error):
            raise
        logger.exception("%s failed", name)
        problems.append(f"{name}: {describe(error)}")
        return None


def describe(error: Exception) -> str:
    """The error as one short line; the rest of a database's message shows values of the row."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")[:MAX_REASON_LENGTH]


def finish(summary: str, problems: Sequence[str]) -> str:
    """The summary of a job without problems. Raises ProblemFound with the first MAX_LISTED problems."""
    if not problems:
        return summary
    rest = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
    raise ProblemFound(f"{summary}; {len(problems)} failed: {'; '.join(problems[:MAX_LISTED])}{rest}")


def _is_database_away(error: Exception) -> bool:
    """Whether the error concerns every part: a lock or an overflow concerns only the part that met it."""
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError)
    code = getattr(error.__cause__, "sqlstate", None) or (error.args[0] if error.args else None)
    return code not in LOCK_CODES and code != SQLITE_OVERFLOW
