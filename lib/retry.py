"""Repeats a transaction that was aborted because of a deadlock or serialization failure, or because it lasted too long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction
from django.utils import timezone

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MAX_ATTEMPTS = 8
DEADLOCK_CODES = {"40P01", "40001", 1213, 1205}  # PostgreSQL: deadlock, serialization; MariaDB: deadlock, lock wait

# The longest time from the first read of a recording transaction to its COMMIT. What must wait for such transactions
# (closing a period, a change of schedule, deleting archived logs) waits an hour: the rest is for the COMMIT itself, and for
# clocks that differ between hosts.
MAX_TRANSACTION = timedelta(minutes=30)


class TransactionTooLong(OperationalError):
    """The transaction lasted longer than MAX_TRANSACTION and is rolled back."""


def check_duration(begun: datetime) -> None:
    """Raise TransactionTooLong if MAX_TRANSACTION has passed since `begun`. The last step before a COMMIT."""
    if timezone.now() - begun >= MAX_TRANSACTION:
        raise TransactionTooLong(f"The transaction was not complete after {MAX_TRANSACTION}.")


def on_deadlock(work: Callable[[], Result]) -> Result:
    """Run `work`, which opens its own transaction, and repeat it after a deadlock, a serialization failure or too long a time.

    Returns what `work` returns. Raises OperationalError after MAX_ATTEMPTS, or at once inside another transaction.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return work()
        except OperationalError as error:
            if connection.in_atomic_block or attempt == MAX_ATTEMPTS or not _is_repeatable(error):
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


def _is_repeatable(error: OperationalError) -> bool:
    if isinstance(error, TransactionTooLong):
        return True
    code = getattr(error.__cause__, "sqlstate", None) or (error.args[0] if error.args else None)
    return code in DEADLOCK_CODES
