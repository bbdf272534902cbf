"""Migration operations for what Django's own cannot say: exact text on MariaDB, and the account inside primary keys."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation


class _Tables(Operation):
    """Runs one statement a table on some vendors; nothing to undo, as the table goes away with its own migration."""

    reversible = True

    def __init__(self, *tables: str) -> None:
        self.tables = tables

    def state_forwards(self, app_label: str, state: Any) -> None:  # noqa: ANN401 - Django's own types
        """No model changes: only how the database keeps it."""

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
        """The table is dropped by the migration that made it."""

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        raise NotImplementedError


class ExactText(_Tables):
    """On MariaDB and MySQL, make text compare byte by byte: their defaults ignore case, accents and trailing blanks."""

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        connection: Any = schema_editor.connection
        if connection.vendor != "mysql":
            return ""
        collation = "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"
        return f"ALTER TABLE {schema_editor.quote_name(table)} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"

    def describe(self) -> str:
        return f"Compare text exactly in {', '.join(self.tables)}"


class DeepJSON(_Tables):
    """On MariaDB, keep JSON columns ("table.column") as text without its check, which refuses more than 32 levels.

    What comes in is JSON by then; the other databases take the depth that the service takes.
    """

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        connection: Any = schema_editor.connection
        if connection.vendor != "mysql" or not connection.mysql_is_mariadb:
            return ""
        table, column = (schema_editor.quote_name(part) for part in table.split("."))
        text = "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL"
        return f"ALTER TABLE {table} MODIFY {column} {text}"

    def describe(self) -> str:
        return f"Take deep JSON in {', '.join(self.tables)}"


class AccountInPrimaryKey(_Tables):
    """Primary key (id, account_id) instead of (id): Citus wants the account in every unique key.

    Django goes on to see `id` as the key (a composite key cannot be registered in the admin), and looking a row up by id
    alone is still one index seek, because id comes first. SQLite is never distributed and keeps (id).
    """

    def sql(self, schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
        name = schema_editor.quote_name
        drop = {"postgresql": f"DROP CONSTRAINT {name(table + '_pkey')}", "mysql": "DROP PRIMARY KEY"}
        if schema_editor.connection.vendor not in drop:
            return ""
        key = f"ADD PRIMARY KEY ({name('id')}, {name('account_id')})"
        return f"ALTER TABLE {name(table)} {drop[schema_editor.connection.vendor]}, {key}"

    def describe(self) -> str:
        return f"Put the account into the primary key of {', '.join(self.tables)}"
