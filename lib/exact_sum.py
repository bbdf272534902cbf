"""Sums of 64-bit integers that may exceed 64 bits, exact on every database.

PostgreSQL and MariaDB return a decimal. SQLite's SUM fails beyond 64 bits, so there it sums the multiples of PART and the
remainders, and Python joins them. Source: "sum(X)" in SQLite's documentation of aggregate functions.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Sum
from django.db.models.sql.compiler import SQLCompiler

PART = 10**9


class ExactSum(Sum):
    """`Sum` as a Python int, or None without rows. Only for results: SQLite can neither compare it nor sort by it."""

    def as_sqlite(
        self,
        compiler: SQLCompiler,
        connection: BaseDatabaseWrapper,
        **context: Any,  # noqa: ANN401 - Django's own
    ) -> tuple[str, tuple[Any, ...]]:
        parts: list[str] = []
        parameters: tuple[Any, ...] = ()
        for operator in ("/", "%%%%"):
            part = self.copy()
            part.template = f"%(function)s(%(distinct)s(%(expressions)s) {operator} {PART})"
            sql, part_parameters = part.as_sql(compiler, connection, **context)
            parts.append(sql)
            parameters = (*parameters, *part_parameters)
        return join_parts(*parts), parameters

    @property
    def convert_value(self) -> Any:  # noqa: ANN401 - as in Django: a converter of (value, expression, connection)
        return lambda value, _expression, _connection: to_int(value)


def sum_sql(connection: BaseDatabaseWrapper, expression: str) -> str:
    """The SQL of the same sum, for raw queries; `to_int` converts the result."""
    if connection.vendor != "sqlite":
        return f"SUM({expression})"
    return join_parts(f"SUM(({expression}) / {PART})", f"SUM(({expression}) %% {PART})")


def join_parts(multiples: str, remainders: str) -> str:
    return f"({multiples} || ' ' || {remainders})"


def to_int(value: Any) -> int | None:  # noqa: ANN401 - what a database returns
    """Convert the result of a sum to an integer in the unit of its column."""
    if not isinstance(value, str):
        return None if value is None else int(value)
    multiples, remainders = value.split()
    return int(multiples) * PART + int(remainders)
