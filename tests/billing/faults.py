"""Faults injected at a chosen query, and the number of queries that update the rollups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection

# Queries that update the rollups for live calls and for corrections; provider health does not count corrections, which have
# a savepoint.
ROLLUP_QUERIES, CORRECTION_QUERIES = (1, 3) if connection.vendor == "postgresql" else (4, 5)
Execute = Callable[..., Any]


class Fault:
    """Raises at the n-th query from now on."""

    def __init__(self, number: int, error: Exception) -> None:
        self.number, self.error = number, error

    def __call__(self, execute: Execute, *arguments: Any) -> Any:
        self.number -= 1
        if self.number == 0:
            raise self.error
        return execute(*arguments)
