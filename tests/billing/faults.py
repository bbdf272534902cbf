"""Faults injected at a chosen query, and the number of queries that update the rollups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

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


class Deadlock:
    """The database ends a transaction because of a deadlock, once: at its n-th statement from now on, or at the COMMIT.

    A read outside of a transaction takes no lock, so it doesn't count.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, execute: Execute, sql: str, *arguments: Any) -> Any:
        if connection.in_atomic_block or not sql.lstrip().startswith("SELECT"):
            self.number -= 1
            if self.number == 0:
                raise deadlock()
        return execute(sql, *arguments)

    @property
    def happened(self) -> bool:
        return self.number <= 0


def deadlock() -> OperationalError:
    return OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")


@contextmanager
def deadlock_at_commit(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The first COMMIT is a deadlock. Yields a list that then has one entry."""
    database: Any = connection
    commit, failed = database._commit, list[str]()

    def fail_once() -> None:
        if not failed:
            failed.append("commit")
            raise deadlock()
        commit()

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail_once)
        yield failed
