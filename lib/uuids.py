"""Converts UUIDs for SQL outside Django's ORM: to and from each database's own form."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

_FIELD: models.UUIDField[Any, Any] = models.UUIDField()


def to_db(connection: BaseDatabaseWrapper, value: UUID) -> Any:  # noqa: ANN401 - depends on the driver
    return value if connection.vendor == "postgresql" else _FIELD.get_db_prep_value(value, connection)


def from_db(value: Any) -> UUID:  # noqa: ANN401
    return value if isinstance(value, UUID) else UUID(value)
