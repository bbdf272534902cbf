"""What PostgreSQL alone can do: psycopg's own cursor on Django's connection, and whole arrays in binary for it.

Called by upsert, ledger, accounts and log_search. psycopg itself would dump an array value by value. Source of the form:
`array_send` in PostgreSQL's arrayfuncs.c; elements stand as they do in COPY.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import set_json_loads

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


def fetch(connection: BaseDatabaseWrapper, rows: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list` in binary, at half the cost of Django's text; JSON comes parsed, times in UTC."""
    try:
        sql, parameters = rows.query.sql_with_params()
    except EmptyResultSet:
        return []
    with cursor(connection) as cursor_:
        set_json_loads(msgspec.json.decode, cursor_)  # reads whatever strict_json lets in as `json` does
        return cursor_.execute(sql.encode(), parameters, binary=True).fetchall()


class Array:
    """A parameter for `%b::bigint[]` and the like, of one or more values of one kind, none of them None."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.type = next(name for kind, name in TYPES if isinstance(values[0], kind))
        head = _head(1, 0, OIDS[self.type], len(values), 1)
        self.packed = head + (_int8s(values) if self.type == "bigint" else b"".join(map(PACKERS[self.type], values)))


class _ArrayDumper(Dumper):
    format = Format.BINARY  # of no type of its own: the statement's cast says it

    def dump(self, obj: Array) -> bytes:
        return obj.packed


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _int8s(values: Sequence[int]) -> bytes:
    lengths_and_values = [8] * (2 * len(values))
    lengths_and_values[1::2] = values
    return _pairs(len(values)).pack(*lengths_and_values)


@lru_cache(maxsize=8)  # the columns of one statement are of one length
def _pairs(count: int) -> Struct:
    return Struct(">" + "iq" * count)
