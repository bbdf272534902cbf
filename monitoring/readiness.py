"""What must hold before this process takes requests: the database answers, with the schema that this code expects."""

from __future__ import annotations

from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from lib.health import Finding
from monitoring import recorder


def database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Finding("ok", "answers")


def migrations() -> Finding:
    applied = MigrationRecorder.Migration.objects.values_list("app", "name")
    missing = len(_shipped() - set(applied))
    return Finding("critical", f"{missing} not applied") if missing else Finding("ok", "all applied")


def request_log() -> Finding:
    dropped = recorder.dropped()
    if dropped:
        return Finding("warning", f"{dropped} requests dropped since this process started")
    return Finding("ok", "no requests dropped")


@cache
def _shipped() -> frozenset[tuple[str, str]]:
    """The last migrations of every app, read from disk once: a running process never gets other code."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())
