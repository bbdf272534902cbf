"""Adds the rules that ignore the hosts of Helicone, Portkey and Vercel's AI gateway to an existing installation.

Reads the data file of the release that is being installed. It never touches a rule that exists. The reverse removes what
it adds; it cannot bring back what an operator edited.
"""

import json
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F

DATA = Path(__file__).resolve().parent.parent / "data" / "rules.json"
SLUGS = ("host-ai-gateway.vercel.sh", "host-hconeai.com", "host-helicone.ai", "host-portkey.ai")


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    rules = apps.get_model("providers", "DetectionRule").objects.using(alias)
    with transaction.atomic(using=alias):
        stored = set(rules.filter(slug__in=SLUGS).values_list("slug", flat=True))
        new = [row for row in _rows() if row["slug"] in SLUGS and row["slug"] not in stored]
        rules.bulk_create(rules.model(shipped=True, **row) for row in new)
        if new:
            _invalidate(apps, alias)
    print(f"  {len(new)} detection rules added", end="")  # noqa: T201 - a progress line


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
    return rows


def _invalidate(apps: Apps, alias: str) -> None:
    """Makes running processes reload the rules."""
    books = apps.get_model("providers", "CatalogVersion").objects.using(alias).filter(book="rules")
    books.update(version=F("version") + 1)


def unload(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    rules = apps.get_model("providers", "DetectionRule").objects.using(alias)
    with transaction.atomic(using=alias):
        rules.filter(shipped=True, slug__in=SLUGS).delete()
        _invalidate(apps, alias)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("providers", "0009_proposals_say_what_they_lack")]

    operations = [migrations.RunPython(load, unload)]
