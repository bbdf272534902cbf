"""Adds many rows to counters, or inserts rows, with one statement per table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from lib import postgres

PLAIN_TYPES = (str, int, type(None))  # of most values; passed to the driver unchanged
MAX_PARAMETERS = 30_000  # per statement: below SQLite's 32,766 and PostgreSQL's 65,535

# A number too large for its column, and a violated CHECK constraint: PostgreSQL, MariaDB, MySQL, SQLite.
OVERFLOW_CODES = {"22003", "23514", 1264, 1690, 4025, 3819, sqlite3.SQLITE_CONSTRAINT_CHECK}


class Increments(NamedTuple):
    """What to add to the counters of one table: each row has the values of `keys`, then those of `counters`.

    The caller groups the rows (no key twice) and sorts them by key: unsorted writers deadlock (33 times in 80,000 rows in a
    test).
    """

    table: str
    keys: Sequence[str]
    counters: Sequence[str]
    rows: Sequence[Sequence[Any]]


def increment(connection: BaseDatabaseWrapper, *increments: Increments) -> None:
    """Add each row's counters to the row with the same keys, or insert it. Tables are written in the same order every time."""
    nonempty = [increment for increment in increments if increment.rows]
    if connection.vendor == "postgresql" and nonempty:
        _increment_in_one_statement(connection, nonempty)
        return
    for table, keys, counters, rows in nonempty:
        adapt = _adapter(connection)
        for chunk in _chunks(rows, MAX_PARAMETERS // (len(keys) + len(counters))):
            with connection.cursor() as cursor:
                cursor.execute(
                    values_upsert_sql(connection, table, keys, counters, len(chunk)),
                    [adapt(value) for row in chunk for value in row],
                )


def is_overflow(error: DatabaseError) -> bool:
    """Whether a counter would have become too large, as opposed to a text that is too long or a key that exists."""
    cause = error.__cause__
    codes = (getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", None), *error.args[:1])
    return any(code in OVERFLOW_CODES for code in codes)


def values_upsert_sql(
    connection: BaseDatabaseWrapper, table: str, keys: Sequence[str], counters: Sequence[str], count: int
) -> str:
    """The SQL to add `count` rows. Table and column names come from our own code; values are parameters."""
    placeholders = "(" + ", ".join(["%s"] * (len(keys) + len(counters))) + ")"
    source = "VALUES " + ", ".join([placeholders] * count)
    return _upsert_sql(connection, table, keys, counters, source)


def _increment_in_one_statement(connection: BaseDatabaseWrapper, increments: Sequence[Increments]) -> None:
    """Update all tables by one prepared statement (PostgreSQL), which fixes their order, so that writers do not deadlock."""
    make_source = _unnest_source if any(len(increment.rows) > 1 for increment in increments) else _values_source
    clauses, parameters = [], []
    for number, (table, keys, counters, rows) in enumerate(increments):
        source, source_parameters = make_source(rows)
        clauses.append(f"t{number} AS ({_upsert_sql(connection, table, keys, counters, source)})")
        parameters += source_parameters
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(f"WITH {', '.join(clauses)} SELECT", parameters)


def _unnest_source(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """One array per column: a tenth of the cost of one parameter per value."""
    columns = [postgres.BinaryArray(column) for column in zip(*rows, strict=True)]
    casts = ", ".join(f"%s::{column.type}[]" for column in columns)
    return f"SELECT * FROM unnest({casts})", list(columns)  # noqa: S608 - types from our own code


def _values_source(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A single row, as for one event: the server would spend as much time on unnest as on the update."""
    (row,) = rows
    return f"VALUES ({', '.join(['%s'] * len(row))})", list(row)


def _upsert_sql(
    connection: BaseDatabaseWrapper, table: str, keys: Sequence[str], counters: Sequence[str], source: str
) -> str:
    quote = connection.ops.quote_name
    name = quote(table)
    columns = ", ".join(quote(column) for column in (*keys, *counters))
    insert = f"INSERT INTO {name} ({columns}) {source}"
    if connection.vendor == "mysql":
        sums = ", ".join(f"{quote(c)} = {name}.{quote(c)} + VALUES({quote(c)})" for c in counters)
        return f"{insert} ON DUPLICATE KEY UPDATE {sums}"
    sums = ", ".join(f"{quote(c)} = {name}.{quote(c)} + excluded.{quote(c)}" for c in counters)
    return f"{insert} ON CONFLICT ({', '.join(quote(key) for key in keys)}) DO UPDATE SET {sums}"


def insert_missing(
    connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> int:
    """Insert the rows whose keys do not exist yet. Returns how many were inserted."""
    ignore, tail = (" IGNORE", "") if connection.vendor == "mysql" else ("", " ON CONFLICT DO NOTHING")
    return _insert(connection, f"INSERT{ignore}", table, columns, rows, tail)


def insert(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert the rows, at a tenth of the cost of model instances. Raises IntegrityError if a key exists."""
    if connection.vendor == "postgresql":
        postgres.copy_rows(connection, table, columns, rows)
    else:
        _insert(connection, "INSERT", table, columns, rows)


def _insert(
    connection: BaseDatabaseWrapper,
    verb: str,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    tail: str = "",
) -> int:
    quote, adapt = connection.ops.quote_name, _adapter(connection)
    placeholders = "(" + ", ".join(["%s"] * len(columns)) + ")"
    head = f"{verb} INTO {quote(table)} ({', '.join(map(quote, columns))}) VALUES "
    inserted = 0
    for chunk in _chunks(rows, MAX_PARAMETERS // len(columns)):
        with connection.cursor() as cursor:
            sql = head + ", ".join([placeholders] * len(chunk)) + tail
            values = [value if type(value) in PLAIN_TYPES else adapt(value) for row in chunk for value in row]
            cursor.execute(sql, values)
            inserted += cursor.rowcount
    return inserted


def _adapter(connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """A function that converts times and ids to what the driver expects and returns other values unchanged.

    Created once per table, because Django looks up the thread's connection at every attribute access.
    """
    ops, native = connection.ops, connection.features.has_native_uuid_field
    naive = connection.vendor != "postgresql" and connection.timezone is UTC

    def adapt(value: Any) -> Any:  # noqa: ANN401 - any column value
        if isinstance(value, PLAIN_TYPES):
            return value
        if isinstance(value, datetime):
            utc = naive and value.tzinfo is UTC  # Django would convert the zone, with the same result
            return ops.adapt_datetimefield_value(value.replace(tzinfo=None) if utc else value)
        if isinstance(value, UUID):
            return value if native else value.hex
        return ops.adapt_datefield_value(value) if isinstance(value, date) else value

    return adapt


def _chunks(rows: Sequence[Sequence[Any]], size: int) -> Iterator[Sequence[Sequence[Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
