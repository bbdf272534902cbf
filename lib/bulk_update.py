"""Updates many rows, each with its own values, by one prepared statement that runs once per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    keys: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    only_if_null: str = "",
) -> int:
    """Return how many rows matched. A row holds the new values of `columns`, then the values of `keys` to match.

    `only_if_null` names a column that must be NULL. The caller sorts the rows where other writers may lock the same ones.
    """
    if not rows:
        return 0
    fields = [_model_field(model, name) for name in (*columns, *keys)]
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(name)} = %s" for name in columns)
    conditions = [f"{quote(name)} = %s" for name in keys] + ([f"{quote(only_if_null)} IS NULL"] if only_if_null else [])
    table = quote(model._meta.db_table)
    sql = f"UPDATE {table} SET {assignments} WHERE {' AND '.join(conditions)}"  # noqa: S608 - names from our own code
    with connection.cursor() as cursor:
        cursor.executemany(
            sql, [[_db_value(connection, *pair) for pair in zip(fields, row, strict=True)] for row in rows]
        )
        return int(cursor.rowcount)


def _model_field(model: type[models.Model], attname: str) -> models.Field[Any, Any]:
    return next(field for field in model._meta.concrete_fields if field.attname == attname)


def _db_value(connection: BaseDatabaseWrapper, field: models.Field[Any, Any], value: object) -> Any:  # noqa: ANN401
    """The value as the driver expects it for the field's column."""
    return field.get_db_prep_save(value, connection)
