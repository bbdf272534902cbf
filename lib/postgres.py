"""What PostgreSQL alone can do: psycopg's own cursors on Django's connection, and whole arrays in binary for them.

Called by upsert, log_search, and the hot paths of billing. psycopg itself would dump an array value by value. Source of the
form: `array_send` in PostgreSQL's arrayfuncs.c; elements stand as they do in COPY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date, datetime
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8

from lib import copy_binary

_head = Struct(">iiiii").pack
OIDS = {"bigint": 20, "text": 25, "date": 1082, "timestamptz": 1184, "uuid": 2950}
PACKERS: dict[str, copy_binary.Pack] = {
    "text": copy_binary.repeated_text,
    "date": copy_binary.day,
    "timestamptz": copy_binary.moment,
    "uuid": copy_binary.uuid,
}
# A datetime is a date as well, so it comes first; a UUID comes as its 16 bytes, too.
TYPES = (
    (str, "text"),
    (int, "bigint"),
    (datetime, "timestamptz"),
    (date, "date"),
    (UUID, "uuid"),
    (bytes, "uuid"),
)


@contextmanager
def cursor(connection: BaseDatabaseWrapper) -> Iterator[psycopg.Cursor[Any]]:
    """Django's own cursor binds parameters on the client, and knows no COPY. Errors are Django's, so that callers know them."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


def copy(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert the rows by COPY: one by one in text, which needs no types."""
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, columns))
    with cursor(connection) as own, own.copy(f"COPY {quote(table)} ({names}) FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


def fetch(connection: BaseDatabaseWrapper, rows: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list` in binary, at half the cost of Django's text; JSON comes parsed, times in UTC."""
    try:
        sql, parameters = rows.query.sql_with_params()
    except EmptyResultSet:
        return []
    with cursor(connection) as cursor_:
        set_json_loads(msgspec.json.decode, cursor_)  # reads whatever strict_json lets in as `json` does
        return cursor_.execute(sql.encode(), parameters, binary=True).fetchall()


class _Prepared(psycopg.Cursor[Any]):
    """Prepares each statement. All whole numbers go as bigint: by their size, one statement would be prepared many times."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> _Prepared:  # noqa: ANN401 - psycopg's own
        typed = [Int8(value) if type(value) is int else value for value in params or ()]
        return super().execute(query, typed, prepare=True, binary=True)


def hot_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """For statements that run for every call: prepared once a connection where the database can (PostgreSQL).

    Planning is most of what they cost. It is Django's cursor for all that looks on: wrappers, logs and errors.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    cursor: Any = _Prepared(connection.connection)
    return make(cursor)


@contextmanager
def one_trip(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Statements that travel together, in order, where they can (PostgreSQL): only a fetch and the end wait for answers."""
    if connection.vendor != "postgresql":
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@contextmanager
def short_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction in one_trip: the COMMIT, too, travels with what precedes it, so that a lock is held for less long.

    Inside another transaction an error must come up before the savepoint is left: there, each statement travels alone.
    """
    nested = connection.in_atomic_block
    with nullcontext() if nested else one_trip(connection), transaction.atomic():
        yield


class Array:
    """A parameter for `%s::bigint[]` and the like, of one or more values of one kind, none of them None."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.type = next(name for kind, name in TYPES if isinstance(values[0], kind))
        head = _head(1, 0, OIDS[self.type], len(values), 1)
        self.packed = head + (_int8s(values) if self.type == "bigint" else b"".join(map(PACKERS[self.type], values)))


class _ArrayDumper(Dumper):
    format = Format.BINARY  # of no type of its own: the statement's cast says it

    def dump(self, obj: Array) -> bytes:
        return obj.packed

    def quote(self, obj: Array) -> bytes:
        """For Django's log of queries alone."""
        return f"'an array of {obj.type}'".encode()


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _int8s(values: Sequence[int]) -> bytes:
    lengths_and_values = [8] * (2 * len(values))
    lengths_and_values[1::2] = values
    return _pairs(len(values)).pack(*lengths_and_values)


@lru_cache(maxsize=8)  # the columns of one statement are of one length
def _pairs(count: int) -> Struct:
    return Struct(">" + "iq" * count)
