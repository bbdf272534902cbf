"""Builds the rollups from the log, after the backfill, so that they stand under the right providers.

Accounts in order of id, one transaction for a batch of them, and only those without any rollup row; then the days of
the platform in the same manner. Killed at any moment and run again, it goes on where it was. The keys and counters are
a copy of billing/rollups.py as of this migration. It cannot rebuild provider minutes, which only watch live traffic.

The reverse empties the rollups; forward again rebuilds them.
"""

from datetime import UTC
from itertools import islice
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Aggregate, Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import TruncDate

ACCOUNTS = 50  # a transaction
DAYS = 31
ROWS = 1_000  # an INSERT
SLOT = 0

SUMS = {
    "calls": Count("id"),
    "errors": Count("id", filter=Q(status_code__gte=400)),
    "tokens_total": Sum("tokens_total"),
    "cost_nano": Sum("effective_nano"),
    "unpriced_calls": Count("id", filter=Q(is_priced=False)),
}
DAY_SUMS = SUMS | {
    "billable_calls": Count("id", filter=Q(is_billable=True)),
    "fallback_calls": Count("id", filter=Q(confidence="fallback") | Q(actual_provider_name=None)),
    "tokens_input": Sum("tokens_input"),
    "tokens_output": Sum("tokens_output"),
    "response_time_sum": Sum("response_time_ms"),
}
UTC_DAY = TruncDate(Case(When(late_for=None, then=F("timestamp")), default=F("received_at")), tzinfo=UTC)

Row = tuple[Any, ...]
Totals = dict[Row, list[int]]
# How the log is grouped for each rollup: by its raw columns, as LOWER means something else on every database.
DAY = ("account_id", "usage_day", "provider", "actual_provider_name", "category")
MODEL = ("account_id", "usage_period", "provider", "actual_provider_name", "model_used")
PLATFORM = ("utc_day", "provider", "actual_provider_name", "category")


def forwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    logs = apps.get_model("billing", "UsageLog").objects.using(alias)
    if logs.exists():
        _accounts(apps, logs.filter(voided_at=None), alias)
        _platform(apps, logs.filter(voided_at=None), alias)


def backwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for name in ("UsageDay", "UsageModel", "PlatformDay"):
        apps.get_model("billing", name).objects.using(schema_editor.connection.alias).all().delete()


def _accounts(apps: Apps, logs: QuerySet[Any], alias: str) -> None:
    days, models = apps.get_model("billing", "UsageDay"), apps.get_model("billing", "UsageModel")
    started = days.objects.using(alias).filter(account_id=OuterRef("pk"))
    missing = apps.get_model("billing", "Account").objects.using(alias).filter(~Exists(started)).order_by("pk")
    after = done = 0
    while batch := list(missing.filter(pk__gt=after).values_list("pk", flat=True)[:ACCOUNTS]):
        mine = logs.filter(account_id__in=batch)
        with transaction.atomic(using=alias):
            _insert(days, alias, _grouped(mine, DAY, DAY_SUMS))
            _insert(models, alias, _grouped(mine, MODEL, SUMS))
        after, done = batch[-1], done + len(batch)
        print(f"\n  rollups of {done} accounts built", end="", flush=True)  # noqa: T201 - a progress line


def _platform(apps: Apps, logs: QuerySet[Any], alias: str) -> None:
    """One pass over the log, then its days in batches; a day that is stored is stored whole."""
    model = apps.get_model("billing", "PlatformDay")
    stored = set(model.objects.using(alias).values_list("day", flat=True).distinct())
    totals = _grouped(logs.annotate(utc_day=UTC_DAY), PLATFORM, DAY_SUMS)
    missing = iter(sorted({key[0] for key in totals} - stored))
    while batch := set(islice(missing, DAYS)):
        with transaction.atomic(using=alias):
            _insert(model, alias, {(*key, SLOT): sums for key, sums in totals.items() if key[0] in batch})
        print(f"\n  platform days up to {max(batch)} built", end="", flush=True)  # noqa: T201 - a progress line


def _grouped(logs: QuerySet[Any], columns: tuple[str, ...], sums: dict[str, Aggregate]) -> Totals:
    totals: Totals = {}
    named = {f"sum_{name}": expression for name, expression in sums.items()}
    for row in logs.order_by().values_list(*columns).annotate(**named):
        key, counts = _key(dict(zip(columns, row, strict=False))), [int(value) for value in row[len(columns) :]]
        totals[key] = [a + b for a, b in zip(totals.get(key, [0] * len(counts)), counts, strict=True)]
    return totals


def _key(row: dict[str, Any]) -> Row:
    """The key in the order of the rollup's columns: names in lower case, the declared one where none is known."""
    declared = row.pop("provider").strip().lower()
    actual = row.pop("actual_provider_name") or declared
    if "model_used" in row:
        return row["account_id"], row["usage_period"], actual, row["model_used"].strip().lower()
    category = row.pop("category")
    return (*row.values(), declared, actual, category)


def _insert(model: Any, alias: str, totals: Totals) -> None:  # noqa: ANN401 - a model of this moment's state
    keys = [field.attname for field in model._meta.pk_fields]
    counters = [name for name in DAY_SUMS if hasattr(model, name)]
    rows = [model(**dict(zip((*keys, *counters), (*key, *sums), strict=True))) for key, sums in sorted(totals.items())]
    model.objects.using(alias).bulk_create(rows, batch_size=ROWS)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0004_rollups")]

    operations = [migrations.RunPython(forwards, backwards)]
