"""UUIDs as each database takes and gives them outside of Django's ORM. Called where a hot path has SQL of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

_FIELD: models.UUIDField[Any, Any] = models.UUIDField()


def written(connection: BaseDatabaseWrapper, value: UUID) -> Any:  # noqa: ANN401 - the driver's own
    return value if connection.vendor == "postgresql" else _FIELD.get_db_prep_value(value, connection)


def read(value: Any) -> UUID:  # noqa: ANN401
    return value if isinstance(value, UUID) else UUID(value)
