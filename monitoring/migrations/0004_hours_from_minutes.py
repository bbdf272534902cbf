"""Builds the hours of requests from the minutes that are there, so that the history goes back before this release.

Hour by hour, one transaction each, and only those that have no row yet: killed at any moment and run again, it goes on
where it was. The counters are a copy of monitoring/models.py as of this migration. It cannot rebuild what a process of the
release before writes after it: that stands in the minutes alone.

The reverse empties the hours; forward again rebuilds them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Max, Min, QuerySet, Sum

COUNTS = (
    *("requests", "errors", "duration_us", "ms_1", "ms_2", "ms_5", "ms_10", "ms_25", "ms_50", "ms_100", "ms_250"),
    *("ms_500", "ms_1000", "ms_2500", "ms_5000", "ms_10000", "ms_more", "dropped"),
)
HOUR, PROGRESS = timedelta(hours=1), 240


def forwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    minutes = apps.get_model("monitoring", "RequestMinute").objects.using(alias)
    hours = apps.get_model("monitoring", "RequestHour").objects.using(alias)
    span = minutes.aggregate(first=Min("minute"), last=Max("minute"))
    hour, done = span["first"] and span["first"].replace(minute=0), 0
    while hour and hour <= span["last"]:
        with transaction.atomic(using=alias):
            if not hours.filter(hour=hour).exists():
                within = minutes.filter(minute__gte=hour, minute__lt=hour + HOUR).order_by()
                hours.bulk_create(_rows(hours.model, hour, within))
        hour, done = hour + HOUR, done + 1
        if done % PROGRESS == 0:
            print(f"\n  {done} hours of requests built", end="", flush=True)  # noqa: T201 - a progress line


def _rows(model: Any, hour: datetime, within: QuerySet[Any]) -> Iterator[Any]:  # noqa: ANN401 - a historical model
    sums: Any = {f"{name}_sum": Sum(name) for name in COUNTS}
    for row in within.values("route", "status_class").annotate(**sums):
        counts = {name: int(row[f"{name}_sum"]) for name in COUNTS}
        yield model(hour=hour, route=row["route"], status_class=row["status_class"], **counts)


def backwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("monitoring", "RequestHour").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("monitoring", "0003_hours_and_drops")]

    operations = [migrations.RunPython(forwards, backwards)]
