"""Repeats a transaction that the database aborted because of a deadlock or serialization failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection

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


def _is_deadlock(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlstate", None) or (error.args[0] if error.args else None)
    return code in DEADLOCK_CODES
