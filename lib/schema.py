"""Migration operations that Django lacks: exact text comparison on MariaDB, and the account in primary keys."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation


class _TableOperation(Operation):
    """Runs one statement per table on some vendors. Nothing to undo: the migration that creates the table drops it."""

    reversible = True

    def __init__(self, *tables: str) -> None:
        self.tables = tables

    def state_forwards(self, app_label: str, state: Any) -> None:  # noqa: ANN401 - Django's own types
        """The models do not change, only the table."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,  # noqa: ANN401
        to_state: Any,  # noqa: ANN401
    ) -> None:
        for table in self.tables:
            sql = self.sql(schema_editor, table)
            if sql:
                schema_editor.execute(sql)

    def database_backwards(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """The migration that created the table drops it."""

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        raise NotImplementedError


class ExactText(_TableOperation):
    """Compares text byte by byte on MariaDB and MySQL, whose defaults ignore case, accents and trailing blanks."""

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        connection: Any = schema_editor.connection
        if connection.vendor != "mysql":
            return ""
        collation = "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"
        return f"ALTER TABLE {schema_editor.quote_name(table)} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"

    def describe(self) -> str:
        return f"Compare text exactly in {', '.join(self.tables)}"


class DeepJSON(_TableOperation):
    """Stores JSON columns ("table.column") as plain text on MariaDB, whose JSON check rejects more than 32 levels.

    The service has already validated the JSON; the other databases accept the same depth as the service.
    """

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        connection: Any = schema_editor.connection
        if connection.vendor != "mysql" or not connection.mysql_is_mariadb:
            return ""
        table, column = (schema_editor.quote_name(name) for name in table.split("."))
        text = "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL"
        return f"ALTER TABLE {table} MODIFY {column} {text}"

    def describe(self) -> str:
        return f"Allow deep JSON in {', '.join(self.tables)}"


class AccountInPrimaryKey(_TableOperation):
    """Makes the primary key (id, account_id): Citus requires the account in every unique key.

    Django still treats `id` as the key, because the admin does not support composite keys, and a look-up by id alone is
    still one index seek, because id comes first. SQLite is never distributed and keeps (id).
    """

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        quote = schema_editor.quote_name
        drop = {"postgresql": f"DROP CONSTRAINT {quote(table + '_pkey')}", "mysql": "DROP PRIMARY KEY"}
        if schema_editor.connection.vendor not in drop:
            return ""
        key = f"ADD PRIMARY KEY ({quote('id')}, {quote('account_id')})"
        return f"ALTER TABLE {quote(table)} {drop[schema_editor.connection.vendor]}, {key}"

    def describe(self) -> str:
        return f"Put the account into the primary key of {', '.join(self.tables)}"
