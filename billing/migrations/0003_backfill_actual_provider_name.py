"""Names the actual provider of every log that has none yet, by the detection rules in the table.

Batches in order of id, one transaction each, and only rows that are still NULL: killed at any moment and run again, it
goes on where it was. A half-done backfill breaks nothing: reads show the declared label with confidence `fallback`.
The rules run in Python, once for each distinct evidence; the rows of a batch are named by one joined UPDATE.

The reverse makes every name NULL again. What it cannot rebuild: names that callers or later rules gave, and corrections
of single logs. Forward again names all logs by the rules of that moment.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet

from billing.migrations import _frozen_detection as detection

BATCH = int(os.environ.get("BACKFILL_BATCH", "5000"))  # rows a transaction: half a second at most
EVIDENCE = ("provider", "model_used", "endpoint", "served_by")
NAMES = ("actual_provider_name", "confidence", "detection_rule", "evidence")
COMBINATIONS = 30_000 // len(EVIDENCE + NAMES)  # a statement: SQLite takes 32,766 parameters

Combination = tuple[str, ...]
Key = tuple[Any, ...]  # the range's two ids as the database takes them
Detect = Callable[[Combination], tuple[str, str, str, str]]


def forwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    connection = schema_editor.connection
    logs = apps.get_model("billing", "UsageLog").objects.using(connection.alias)
    detect = _detector(apps, connection.alias)
    done = 0
    for after, upto in _ranges(logs.filter(actual_provider_name=None)):
        key = tuple(logs.model._meta.pk.get_db_prep_value(one, connection) for one in (after, upto))
        with transaction.atomic(using=connection.alias):
            batch = logs.filter(actual_provider_name=None, id__gt=after, id__lte=upto)
            combinations = list(batch.values_list(*EVIDENCE).distinct())
            for start in range(0, len(combinations), COMBINATIONS):
                part = combinations[start : start + COMBINATIONS]
                done += _name(connection, [(*one, *detect(one)) for one in part], key)
        print(f"\n  {done} logs named", end="", flush=True)  # noqa: T201 - a progress line


def backwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    named = apps.get_model("billing", "UsageLog").objects.using(alias).exclude(actual_provider_name=None)
    done = 0
    for after, upto in _ranges(named):
        batch = named.filter(id__gt=after, id__lte=upto)
        done += batch.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
        print(f"\n  {done} names removed", end="", flush=True)  # noqa: T201 - a progress line


def _ranges(rows: QuerySet[Any]) -> Iterator[tuple[UUID, UUID]]:
    """The ids of `rows` as half-open ranges (after, upto] of BATCH rows each."""
    after = UUID(int=0)
    while True:
        rest = rows.filter(id__gt=after).order_by("id").values_list("id", flat=True)
        upto = rest[BATCH - 1 : BATCH].first() or rest.last()
        if upto is None:
            return
        yield after, upto
        after = upto


def _detector(apps: Apps, alias: str) -> Detect:
    """The rules of the table behind a memo."""
    rules = _rule_set(apps, alias)

    @lru_cache(maxsize=65_536)
    def detect(evidence: Combination) -> tuple[str, str, str, str]:
        found = rules.detect(detection.Call(*evidence))
        return found.actual_provider, found.confidence, found.rule, found.evidence

    return detect


def _rule_set(apps: Apps, alias: str) -> detection.RuleSet:
    providers = list(apps.get_model("providers", "Provider").objects.using(alias).order_by("pk"))
    stored = apps.get_model("providers", "DetectionRule").objects.using(alias).select_related("provider")
    rules = [
        detection.Rule(
            slug=rule.slug,
            evidence=rule.evidence,
            pattern=rule.pattern,
            declared=frozenset(rule.declared),
            provider=rule.provider.slug if rule.provider else None,
            ignore_host=rule.ignore_host,
            category=rule.category,
            order=rule.order,
            shipped=rule.shipped,
        )
        for rule in stored.filter(active=True)
    ]
    names = {name: one.slug for one in providers for name in (one.name, *one.aliases)}
    names |= {one.slug: one.slug for one in providers}
    return detection.RuleSet(rules, names, [one.slug for one in providers if one.is_gateway])


def _name(connection: BaseDatabaseWrapper, rows: Sequence[Combination], key: Key) -> int:
    """Name the logs of a range that have no name yet: joined to the combinations, each with the names that it gets."""
    table = "api_usage_logs AS l"
    where = " AND ".join(f"l.{column} = m.column{number}" for number, column in enumerate(EVIDENCE, start=1))
    where += " AND l.actual_provider_name IS NULL AND l.id > %s AND l.id <= %s"
    target = "l." if connection.vendor == "mysql" else ""
    names = ", ".join(f"{target}{column} = m.column{n}" for n, column in enumerate(NAMES, start=1 + len(EVIDENCE)))
    if connection.vendor == "mysql":
        first = ", ".join(f"%s AS column{number}" for number in range(1, 1 + len(EVIDENCE + NAMES)))
        others = " UNION ALL SELECT %s, %s, %s, %s, %s, %s, %s, %s" * (len(rows) - 1)
        sql = f"UPDATE {table} JOIN (SELECT {first}{others}) AS m SET {names} WHERE {where}"
    else:  # the columns of VALUES are called column1, column2, ... by both
        values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * len(rows))
        sql = f"UPDATE {table} SET {names} FROM (VALUES {values}) AS m WHERE {where}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(value for row in rows for value in row), *key])
        return int(cursor.rowcount)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("billing", "0002_actual_provider_name"),
        ("providers", "0002_shipped_providers_and_rules"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
