"""Reading an older `api_usage_logs` table out of another database, row by row, and never writing to it."""

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
NEEDED = ("id", "user_id", "provider", "timestamp")
PAGE = 1_000

Row = dict[str, Any]


class NotReadable(ValueError):
    """The URL names no database with an older log table; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class OldTable:
    """An open older table and the columns that it has."""

    connection: BaseDatabaseWrapper
    columns: tuple[str, ...]

    def __len__(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE}")  # noqa: S608 - our own constant
            return int(cursor.fetchone()[0])

    def rows(self) -> Iterator[Row]:
        """All rows in order of id, a page at a time: memory stays flat on every database."""
        name = self.connection.ops.quote_name
        select = f"SELECT {', '.join(name(column) for column in self.columns)} FROM {name(TABLE)}"  # noqa: S608 - quoted
        page = self._page(f"{select} ORDER BY {name('id')} LIMIT {PAGE}", [])
        while page:
            for row in page:
                yield dict(zip(self.columns, row, strict=True))
            last = page[-1][self.columns.index("id")]
            page = self._page(f"{select} WHERE {name('id')} > %s ORDER BY {name('id')} LIMIT {PAGE}", [last])

    def close(self) -> None:
        self.connection.close()

    def _page(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())


def open_table(url: str) -> OldTable:
    """The older table behind a database URL, opened for reading only; the caller closes it. Raises NotReadable."""
    handler = ConnectionHandler({"default": {}, "old": _settings(url)})
    try:
        connection: BaseDatabaseWrapper = handler["old"]
    except ImproperlyConfigured as error:
        raise NotReadable(f"The database can't be read: {error}") from error
    try:
        return OldTable(connection, _columns(connection))
    except BaseException:
        connection.close()
        raise


def _columns(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """Those of an older table. Raises NotReadable where it is none."""
    try:
        with connection.cursor() as cursor:
            if TABLE not in connection.introspection.table_names(cursor):
                raise NotReadable(f"The database has no table {TABLE}.")
            cursor.execute(f"SELECT * FROM {TABLE} WHERE 1 = 0")  # noqa: S608 - our own constant
            columns = tuple(column[0] for column in cursor.description)
    except (DatabaseError, ImproperlyConfigured) as error:
        raise NotReadable(f"The database can't be read: {error}") from error
    missing = [column for column in NEEDED if column not in columns]
    if missing:
        what = "it is Tollgate's own" if "event_key" in columns else f"it has no column {missing[0]}"
        raise NotReadable(f"The table {TABLE} is not an older one: {what}.")
    return columns


def _settings(url: str) -> dict[str, Any]:
    settings = environ.Env.db_url_config(url) if "://" in url else {}
    vendor = settings.get("ENGINE", "").rpartition(".")[2]
    if vendor == "sqlite3":
        return settings | {"NAME": _read_only(str(settings["NAME"]))}
    if vendor == "postgresql":
        return settings | {"OPTIONS": {"options": "-c default_transaction_read_only=on"}}
    if vendor == "mysql":
        read_only = "SET SESSION TRANSACTION READ ONLY"
        return settings | {"OPTIONS": {"charset": "utf8mb4", "init_command": read_only}}
    raise NotReadable("Not a database URL such as sqlite:///old.sqlite3, postgres://… or mysql://….")


def _read_only(name: str) -> str:
    """The file as SQLite's own URL: it is neither made nor changed."""
    path = Path(name).resolve()
    if not path.is_file():
        raise NotReadable(f"There is no file {name}.")
    return f"file:{quote(str(path))}?mode=ro"
