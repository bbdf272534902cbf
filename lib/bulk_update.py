"""Updating many rows at once, each with values of its own: one prepared statement, run for every row."""

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
    unless: str = "",
) -> int:
    """How many rows were found. A row holds the new values of `columns`, then the values of `keys` that find it.

    `unless` names a column that must be NULL. The caller sorts the rows where others may lock the same ones.
    """
    if not rows:
        return 0
    fields = [_field(model, name) for name in (*columns, *keys)]
    quote = connection.ops.quote_name
    sets = ", ".join(f"{quote(name)} = %s" for name in columns)
    found = " AND ".join([f"{quote(name)} = %s" for name in keys] + ([f"{quote(unless)} IS NULL"] if unless else []))
    sql = f"UPDATE {quote(model._meta.db_table)} SET {sets} WHERE {found}"  # noqa: S608 - names of ours
    with connection.cursor() as cursor:
        cursor.executemany(
            sql, [[_prepared(connection, *pair) for pair in zip(fields, row, strict=True)] for row in rows]
        )
        return int(cursor.rowcount)


def _field(model: type[models.Model], attname: str) -> models.Field[Any, Any]:
    return next(field for field in model._meta.concrete_fields if field.attname == attname)


def _prepared(connection: BaseDatabaseWrapper, field: models.Field[Any, Any], value: object) -> Any:  # noqa: ANN401
    """The value as the driver takes it for the field's column."""
    return field.get_db_prep_save(value, connection)
