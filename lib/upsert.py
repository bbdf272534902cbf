"""Many rows by one statement: added to the counters that are there, or inserted. Every rollup is written through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from lib import postgres

PLAIN = (str, int, type(None))  # what most values are
PARAMETERS = 30_000  # below SQLite's 32,766 and PostgreSQL's 65,535


class Sums(NamedTuple):
    """What to add to one table: a row holds the keys' values, then the counters', in that order.

    The caller groups the rows (no key twice) and sorts them by key: unsorted writers deadlock (33 times in 80,000 rows when
    tried).
    """

    table: str
    keys: Sequence[str]
    counters: Sequence[str]
    rows: Sequence[Sequence[Any]]


def add(connection: BaseDatabaseWrapper, *sums: Sums) -> None:
    """Add each row's counters to the row with the same keys, or insert it; of several tables, always in one order."""
    filled = [one for one in sums if one.rows]
    if connection.vendor == "postgresql" and filled:
        _add_at_once(connection, filled)
        return
    for table, keys, counters, rows in filled:
        adapted = _adapter(connection)
        for part in _parts(rows, PARAMETERS // (len(keys) + len(counters))):
            with connection.cursor() as cursor:
                cursor.execute(
                    statement(connection, table, keys, counters, len(part)),
                    [adapted(value) for row in part for value in row],
                )


def statement(
    connection: BaseDatabaseWrapper, table: str, keys: Sequence[str], counters: Sequence[str], count: int
) -> str:
    """The SQL for `count` rows; names come from our code only, values are parameters."""
    row = "(" + ", ".join(["%s"] * (len(keys) + len(counters))) + ")"
    source = "VALUES " + ", ".join([row] * count)
    return _statement(connection, table, keys, counters, source)


def _add_at_once(connection: BaseDatabaseWrapper, sums: Sequence[Sums]) -> None:
    """One prepared statement for all tables (PostgreSQL); it alone decides in which order, so writers don't cross."""
    source = _arrays if any(len(one.rows) > 1 for one in sums) else _single
    parts, values = [], []
    for number, (table, keys, counters, rows) in enumerate(sums):
        rows_of, given = source(rows)
        parts.append(f"t{number} AS ({_statement(connection, table, keys, counters, rows_of)})")
        values += given
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT", values)


def _arrays(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """One array a column: a tenth of the cost of as many parameters."""
    columns = [postgres.Array(column) for column in zip(*rows, strict=True)]
    casts = ", ".join(f"%s::{column.type}[]" for column in columns)
    return f"SELECT * FROM unnest({casts})", list(columns)  # noqa: S608 - types of ours


def _single(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A row that is alone, as with one event: the server would take as long to unfold arrays as to add."""
    (row,) = rows
    return f"VALUES ({', '.join(['%s'] * len(row))})", list(row)


def _statement(
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


def insert_new(
    connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> int:
    """Insert the rows whose keys are not there yet, and leave the others; how many were inserted."""
    ignore, tail = (" IGNORE", "") if connection.vendor == "mysql" else ("", " ON CONFLICT DO NOTHING")
    return _insert(connection, f"INSERT{ignore}", table, columns, rows, tail)


def insert(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert the rows, at a tenth of what as many model instances cost. Raises IntegrityError where a key is there."""
    if connection.vendor == "postgresql":
        postgres.copy(connection, table, columns, rows)
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
    quote, adapted = connection.ops.quote_name, _adapter(connection)
    row = "(" + ", ".join(["%s"] * len(columns)) + ")"
    head = f"{verb} INTO {quote(table)} ({', '.join(map(quote, columns))}) VALUES "
    inserted = 0
    for part in _parts(rows, PARAMETERS // len(columns)):
        with connection.cursor() as cursor:
            sql = head + ", ".join([row] * len(part)) + tail
            cursor.execute(sql, [adapted(value) for line in part for value in line])
            inserted += cursor.rowcount
    return inserted


def _adapter(connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """Takes times and ids to what the database keeps; everything else goes through as it is.

    Made once a table: Django looks the thread's connection up whenever it is asked for anything.
    """
    ops, native = connection.ops, connection.features.has_native_uuid_field
    naive = connection.vendor != "postgresql" and connection.timezone is UTC

    def adapted(value: Any) -> Any:  # noqa: ANN401 - whatever the column takes
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, datetime):
            utc = naive and value.tzinfo is UTC  # what Django would get by way of a change of zones
            return ops.adapt_datetimefield_value(value.replace(tzinfo=None) if utc else value)
        if isinstance(value, UUID):
            return value if native else value.hex
        return ops.adapt_datefield_value(value) if isinstance(value, date) else value

    return adapted


def _parts(rows: Sequence[Sequence[Any]], size: int) -> Iterator[Sequence[Sequence[Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
