"""System check: statements run at READ COMMITTED on PostgreSQL and MariaDB, alone and in transactions.

At a stricter level, a decision would read what was true before it waited for the account's lock: more than a limit allows
would be granted.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

REQUIRED_LEVEL = "read committed"
LEVEL_SQL = {
    "postgresql": "SHOW transaction_isolation",
    # MariaDB before 11.1 has the first name, MySQL 8 the second.
    "mysql": "SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')",
}


@register(Tags.database)
def isolation_level(databases: Sequence[str] | None = None, **_kwargs: object) -> list[CheckMessage]:
    return [message for alias in databases or () for message in _check_database(connections[alias])]


def _check_database(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    if connection.vendor not in LEVEL_SQL:  # SQLite is always serializable
        return []
    try:
        alone = _read_level(connection)
        with transaction.atomic(using=connection.alias):
            inside = _read_level(connection)
    except DatabaseError:
        return []  # the next query reports a broken database more precisely
    return [
        Error(
            f"The database runs statements {where} at the isolation level {level}. Tollgate needs {REQUIRED_LEVEL}: at any "
            "other level it would grant more than limits allow.",
            hint="Tollgate sets the level itself, but a pooler may not pass it on. Set it for the database user, e.g. "
            "ALTER ROLE tollgate SET default_transaction_isolation = 'read committed'.",
            id="config.E001",
        )
        for where, level in (("outside transactions", alone), ("in transactions", inside))
        if level != REQUIRED_LEVEL
    ]


def _read_level(connection: BaseDatabaseWrapper) -> str:
    with connection.cursor() as cursor:
        cursor.execute(LEVEL_SQL[connection.vendor])
        return str(cursor.fetchone()[-1]).lower().replace("-", " ")
