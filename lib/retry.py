"""Trying a transaction again when the database gave it up in favour of another one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection

Result = TypeVar("Result")

ATTEMPTS = 8
DEADLOCKS = {"40P01", "40001", 1213, 1205}  # PostgreSQL: deadlock, serialization; MariaDB: deadlock, lock wait


def on_deadlock(work: Callable[[], Result]) -> Result:
    """What `work` returns; it opens its own transaction, and is run again after a deadlock or a serialization failure.

    Raises OperationalError when it goes on failing. Inside a transaction there is nothing to repeat: the error passes.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except OperationalError as error:
            if connection.in_atomic_block or attempt == ATTEMPTS or not _gave_up(error):
                raise
        time.sleep(random.uniform(0.5, 1.0) * 0.01 * 2**attempt)  # noqa: S311 - spreads the rivals, no secret
    raise AssertionError("unreachable")


def _gave_up(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlstate", None) or (error.args[0] if error.args else None)
    return code in DEADLOCKS
