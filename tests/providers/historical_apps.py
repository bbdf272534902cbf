"""Models as they were after an earlier migration."""

from __future__ import annotations

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import StateApps


def apps_after(migration: str) -> StateApps:
    """The app registry after the given migration of `providers`."""
    return MigrationLoader(connection).project_state(("providers", migration)).apps
