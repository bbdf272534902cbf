"""PostgreSQL only: psycopg's own cursors on Django's connection, COPY, pipelines, and array parameters in binary form.

psycopg itself would dump an array value by value. Source of the array format: `array_send` in PostgreSQL's arrayfuncs.c;
the elements are encoded as in COPY.
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

_pack_header = Struct(">iiiii").pack
OIDS = {"bigint": 20, "text": 25, "date": 1082, "timestamptz": 1184, "uuid": 2950}
PACKERS: dict[str, copy_binary.Packer] = {
    "text": copy_binary.repeated_text,
    "date": copy_binary.day,
    "timestamptz": copy_binary.timestamptz,
    "uuid": copy_binary.uuid,
}
# datetime comes first because it is a subclass of date. A UUID may also be passed as its 16 bytes.
TYPE_NAMES = (
    (str, "text"),
    (int, "bigint"),
    (datetime, "timestamptz"),
    (date, "date"),
    (UUID, "uuid"),
    (bytes, "uuid"),
)


@contextmanager
def native_cursor(connection: BaseDatabaseWrapper) -> Iterator[psycopg.Cursor[Any]]:
    """A psycopg cursor: server-side parameters and COPY, which Django's cursor lacks. It raises Django's exceptions."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


def copy_rows(
    connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert the rows by COPY in text format, which needs no types."""
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, columns))
    with native_cursor(connection) as cursor, cursor.copy(f"COPY {quote(table)} ({names}) FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


def fetch_binary(connection: BaseDatabaseWrapper, rows: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list`, read in binary at half the cost of Django's text format; JSON is parsed, times are UTC."""
    try:
        sql, parameters = rows.query.sql_with_params()
    except EmptyResultSet:
        return []
    with native_cursor(connection) as cursor:
        set_json_loads(msgspec.json.decode, cursor)  # same result as `json` for everything that strict_json accepts
        return cursor.execute(sql.encode(), parameters, binary=True).fetchall()


class _PreparedCursor(psycopg.Cursor[Any]):
    """Prepares each statement. Sends every int as bigint: otherwise a statement would be prepared once per integer size."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> _PreparedCursor:  # noqa: ANN401 - psycopg's own
        typed = [Int8(value) if type(value) is int else value for value in params or ()]
        return super().execute(query, typed, prepare=True, binary=True)


class _LoggedCursor(_PreparedCursor):
    """The same for Django's query log: psycopg does not tell the text of a statement that was prepared before."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> _LoggedCursor:  # noqa: ANN401 - psycopg's own
        super().execute(query, params)
        self._query = self._query or self._convert_query(query, params)
        return self


def prepared_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """A cursor for statements that run for every AI call: prepared once per connection (PostgreSQL), Django's own elsewhere.

    Planning is most of their cost. Django's wrapper stays around it, for execute wrappers, query logs and error translation.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    if connection.queries_logged:
        logged: Any = _LoggedCursor(connection.connection)
        return connection.make_debug_cursor(logged)
    cursor: Any = _PreparedCursor(connection.connection)
    return connection.make_cursor(cursor)


@contextmanager
def pipeline(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Send statements without waiting for each answer (PostgreSQL); only a fetch and the end of the block wait."""
    if connection.vendor != "postgresql":
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@contextmanager
def pipelined_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction in a pipeline: the COMMIT is sent together with the statements before it, so locks are held for less time.

    Without a pipeline inside another transaction, where an error must be raised before the savepoint is released.
    """
    nested = connection.in_atomic_block
    with nullcontext() if nested else pipeline(connection), transaction.atomic():
        yield


class BinaryArray:
    """A parameter for `%s::bigint[]` and the like: one or more values of the same type, none of them None."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.type = next(name for python_type, name in TYPE_NAMES if isinstance(values[0], python_type))
        head = _pack_header(1, 0, OIDS[self.type], len(values), 1)
        self.packed = head + (
            _pack_int8s(values) if self.type == "bigint" else b"".join(map(PACKERS[self.type], values))
        )


class _BinaryArrayDumper(Dumper):
    format = Format.BINARY  # without an OID: the cast in the statement gives the type

    def dump(self, obj: BinaryArray) -> bytes:
        return obj.packed

    def quote(self, obj: BinaryArray) -> bytes:
        """Used only by Django's query log."""
        return f"'an array of {obj.type}'".encode()


psycopg.adapters.register_dumper(BinaryArray, _BinaryArrayDumper)


def _pack_int8s(values: Sequence[int]) -> bytes:
    lengths_and_values = [8] * (2 * len(values))
    lengths_and_values[1::2] = values
    return _int8_struct(len(values)).pack(*lengths_and_values)


@lru_cache(maxsize=8)  # all columns of a statement have the same length
def _int8_struct(count: int) -> Struct:
    return Struct(">" + "iq" * count)
