"""System check: refuses the database of an earlier system, whose logs have to be imported into a new database."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

TABLE = "api_usage_logs"  # in both systems; only the earlier one has a column `user_id`
EARLIER_TABLES = (TABLE, "subscription_plans")


@register(Tags.database)
def earlier_system(databases: Sequence[str] | None = None, **_kwargs: object) -> list[CheckMessage]:
    """Runs before `migrate` changes anything."""
    return [message for alias in databases or () for message in _check_database(connections[alias])]


def _check_database(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    try:
        earlier = _is_earlier_system(connection)
    except DatabaseError:
        return []  # the next query reports a broken database more precisely
    if not earlier:
        return []
    return [
        Error(
            "DATABASE_URL points to the database of an earlier system. Nothing was changed.",
            hint="Create a separate database for Tollgate, run `manage.py migrate` on it, and import the old logs with "
            "`manage.py import_legacy_logs URL`, where URL is this database.",
            id="billing.E001",
        )
    ]


def _is_earlier_system(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if not any(table in tables for table in EARLIER_TABLES) or _migrated(connection):
            return False
        if TABLE not in tables:
            return True
        cursor.execute(f"SELECT * FROM {TABLE} WHERE 1 = 0")  # noqa: S608 - our own constant
        return "user_id" in {column[0] for column in cursor.description}


def _migrated(connection: BaseDatabaseWrapper) -> bool:
    return any(app == "billing" for app, _ in MigrationRecorder(connection).applied_migrations())
