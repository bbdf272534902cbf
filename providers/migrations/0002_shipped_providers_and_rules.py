"""Puts the shipped providers and detection rules into their tables.

Reads the data files of the release that is being installed, so a new installation starts with today's rules, and an
old one keeps every row that it has. It never touches a row that exists; what the reverse removes is every shipped row
that nothing refers to, and it cannot bring back shipped rows that an operator had edited.
"""

import json
from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

DATA = Path(__file__).resolve().parent.parent / "data"


def _shipped(name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A copy of shipped.load(), which may change later."""
    provider_model, rule_model = apps.get_model("providers", "Provider"), apps.get_model("providers", "DetectionRule")
    alias = schema_editor.connection.alias
    with transaction.atomic(using=alias):
        stored = set(provider_model.objects.using(alias).values_list("slug", flat=True))
        new = [provider_model(shipped=True, **row) for row in _shipped("providers.json") if row["slug"] not in stored]
        provider_model.objects.using(alias).bulk_create(new, batch_size=500)
    with transaction.atomic(using=alias):
        ids = dict(provider_model.objects.using(alias).values_list("slug", "id"))
        stored = set(rule_model.objects.using(alias).values_list("slug", flat=True))
        rules = [row for row in _shipped("rules.json") if row["slug"] not in stored]
        ready = [rule_model(shipped=True, **_columns(row, ids)) for row in rules]
        rule_model.objects.using(alias).bulk_create(ready, batch_size=500)
        apps.get_model("providers", "BookVersion").objects.using(alias).get_or_create(book="rules")  # type: ignore[misc]  # as it was named then
    print(f"  {len(new)} providers, {len(rules)} detection rules added", end="")  # noqa: T201 - a progress line


def _columns(row: dict[str, object], ids: dict[str, int]) -> dict[str, object]:
    columns = {name: value for name, value in row.items() if name != "provider"}
    return columns | {"provider_id": ids[str(row["provider"])] if row.get("provider") else None}


def unload(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    rules = apps.get_model("providers", "DetectionRule").objects.using(alias)
    with transaction.atomic(using=alias):
        rules.filter(shipped=True).delete()
        used = set(rules.exclude(provider=None).values_list("provider_id", flat=True))
        prices = apps.get_model("providers", "Price").objects.using(alias)
        used |= set(prices.values_list("provider_id", flat=True))
        apps.get_model("providers", "Provider").objects.using(alias).filter(shipped=True).exclude(id__in=used).delete()
        apps.get_model("providers", "BookVersion").objects.using(alias).filter(book="rules").delete()  # type: ignore[misc]  # as it was named then


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("providers", "0001_providers_and_prices")]

    operations = [migrations.RunPython(load, unload)]
