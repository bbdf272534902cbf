"""The migration that builds hours from the minutes of an earlier release: forwards, twice, backwards, forwards again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from monitoring.models import RequestHour
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

migration: Any = import_module("monitoring.migrations.0004_hours_from_minutes")
NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def forwards() -> list[tuple[Any, ...]]:
    migration.forwards(apps, connection.schema_editor())
    return stored()


def stored() -> list[tuple[Any, ...]]:
    return sorted(RequestHour.objects.values_list())


@pytest.mark.django_db
def test_hours_are_built_as_the_recorder_writes_them_and_only_if_missing(request_log: Recorder) -> None:
    for minutes in (0, 1, 59, 60, 300):
        for status in (200, 404, 500):
            request_log.add(entry(at=NINE + timedelta(minutes=minutes), status=status, duration_us=minutes * 1_000))
    request_log.flush()
    recorded = stored()
    assert len(recorded) == 9

    RequestHour.objects.all().delete()
    assert forwards() == recorded
    assert forwards() == recorded
    RequestHour.objects.filter(hour=NINE).delete()  # as if the migration was killed
    assert forwards() == recorded
    migration.backwards(apps, connection.schema_editor())
    assert stored() == []
    assert forwards() == recorded


@pytest.mark.django_db
def test_without_minutes_there_is_nothing_to_build() -> None:
    assert forwards() == []
