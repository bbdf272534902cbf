"""System checks of the database. An earlier system's database is not migrated over: its log is imported into a new one."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

TABLE = "api_usage_logs"  # of both systems; the older one names its accounts `user_id`
EARLIER = (TABLE, "subscription_plans")


@register(Tags.database)
def earlier_system(databases: Sequence[str] | None = None, **_kwargs: object) -> list[CheckMessage]:
    """`migrate` runs this before it touches anything."""
    return [message for alias in databases or () for message in _of(connections[alias])]


def _of(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    try:
        earlier = _is_earlier(connection)
    except DatabaseError:
        return []  # whoever needs the database says better what is wrong with it
    if not earlier:
        return []
    return [
        Error(
            "DATABASE_URL names a database of an earlier system. Nothing was changed.",
            hint="Give Tollgate a database of its own, migrate that, and bring the old log in with "
            "`manage.py import_legacy_logs URL`, URL being this database.",
            id="billing.E001",
        )
    ]


def _is_earlier(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if not any(table in tables for table in EARLIER) or _migrated(connection):
            return False
        if TABLE not in tables:
            return True
        cursor.execute(f"SELECT * FROM {TABLE} WHERE 1 = 0")  # noqa: S608 - our own constant
        return "user_id" in {column[0] for column in cursor.description}


def _migrated(connection: BaseDatabaseWrapper) -> bool:
    return any(app == "billing" for app, _ in MigrationRecorder(connection).applied_migrations())
