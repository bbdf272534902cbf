"""Repeats a transaction that the database aborted because of a deadlock or serialization failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MAX_ATTEMPTS = 8
DEADLOCK_CODES = {"40P01", "40001", 1213, 1205}  # PostgreSQL: deadlock, serialization; MariaDB: deadlock, lock wait


def on_deadlock(work: Callable[[], Result]) -> Result:
    """Run `work`, which opens its own transaction, and repeat it after a deadlock or a serialization failure.

    Returns what `work` returns. Raises OperationalError after MAX_ATTEMPTS, or at once inside another transaction.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return work()
        except OperationalError as error:
            if connection.in_atomic_block or attempt == MAX_ATTEMPTS or not _is_deadlock(error):
                raise
        time.sleep(random.uniform(0.5, 1.0) * 0.01 * 2**attempt)  # noqa: S311 - only spreads retries
    raise AssertionError("unreachable")


def atomic(work: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorator: one transaction, repeated after a deadlock or serialization failure, also one at the COMMIT.

    Within another transaction `work` is a part of that one, which repeats it. `work` must be safe to repeat: it reads again
    what it changes, and takes no iterator that the first attempt would use up.
    """

    @wraps(work)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return on_deadlock(lambda: transaction.atomic(work)(*args, **kwargs))

    return run


def _is_deadlock(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlstate", None) or (error.args[0] if error.args else None)
    return code in DEADLOCK_CODES
