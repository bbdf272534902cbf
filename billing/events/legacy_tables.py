"""Reads a legacy `api_usage_logs` table from another database, read-only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

TABLE = "api_usage_logs"
REQUIRED_COLUMNS = ("id", "user_id", "provider", "timestamp")
PAGE_SIZE = 1_000

Row = dict[str, Any]


class UnreadableTable(ValueError):
    """The URL does not lead to a legacy log table; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """An open legacy table and the names of its columns."""

    connection: BaseDatabaseWrapper
    columns: tuple[str, ...]

    def __len__(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE}")  # noqa: S608 - our own constant
            return int(cursor.fetchone()[0])

    def rows(self) -> Iterator[Row]:
        """Yield all rows ordered by id, one keyset page at a time: constant memory on every database."""
        name = self.connection.ops.quote_name
        select = f"SELECT {', '.join(name(column) for column in self.columns)} FROM {name(TABLE)}"  # noqa: S608 - quoted
        page = self._fetch(f"{select} ORDER BY {name('id')} LIMIT {PAGE_SIZE}", [])
        while page:
            for row in page:
                yield dict(zip(self.columns, row, strict=True))
            last = page[-1][self.columns.index("id")]
            page = self._fetch(f"{select} WHERE {name('id')} > %s ORDER BY {name('id')} LIMIT {PAGE_SIZE}", [last])

    def close(self) -> None:
        self.connection.close()

    def _fetch(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())


def open_table(url: str) -> LegacyTable:
    """Open the table behind a database URL read-only; the caller closes it. Raises UnreadableTable."""
    handler = ConnectionHandler({"default": {}, "old": _connection_settings(url)})
    try:
        connection: BaseDatabaseWrapper = handler["old"]
    except ImproperlyConfigured as error:
        raise UnreadableTable(f"The database can't be read: {error}") from error
    try:
        return LegacyTable(connection, _columns(connection))
    except BaseException:
        connection.close()
        raise


def _columns(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """The table's columns. Raises UnreadableTable if it is not a legacy log table."""
    try:
        with connection.cursor() as cursor:
            if TABLE not in connection.introspection.table_names(cursor):
                raise UnreadableTable(f"The database has no table {TABLE}.")
            cursor.execute(f"SELECT * FROM {TABLE} WHERE 1 = 0")  # noqa: S608 - our own constant
            columns = tuple(column[0] for column in cursor.description)
    except (DatabaseError, ImproperlyConfigured) as error:
        raise UnreadableTable(f"The database can't be read: {error}") from error
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        reason = "it belongs to Tollgate" if "event_key" in columns else f"it has no column {missing[0]}"
        raise UnreadableTable(f"The table {TABLE} is not a legacy log table: {reason}.")
    return columns


def _connection_settings(url: str) -> dict[str, Any]:
    settings = environ.Env.db_url_config(url) if "://" in url else {}
    vendor = settings.get("ENGINE", "").rpartition(".")[2]
    if vendor == "sqlite3":
        return settings | {"NAME": _read_only_url(str(settings["NAME"]))}
    if vendor == "postgresql":
        return settings | {"OPTIONS": {"options": "-c default_transaction_read_only=on"}}
    if vendor == "mysql":
        read_only = "SET SESSION TRANSACTION READ ONLY"
        return settings | {"OPTIONS": {"charset": "utf8mb4", "init_command": read_only}}
    raise UnreadableTable("Not a database URL. Use for example sqlite:///old.sqlite3, postgres://… or mysql://….")


def _read_only_url(name: str) -> str:
    """A read-only SQLite URL of the file. Raises UnreadableTable if the file does not exist."""
    path = Path(name).resolve()
    if not path.is_file():
        raise UnreadableTable(f"The file {name} does not exist.")
    return f"file:{quote(str(path))}?mode=ro"
