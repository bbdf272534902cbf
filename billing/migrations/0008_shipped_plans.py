"""Puts the shipped meters and plans into their tables.

Reads the data file of the release that is being installed, so that a new installation starts with today's plans. It
never touches a row that exists. The reverse removes every shipped plan, and every shipped meter that no limit refers to;
an operator's own rows stay, and later versions of a shipped plan are an operator's.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

DATA = Path(__file__).resolve().parent.parent / "data" / "plans.json"
NANO = 1_000_000_000


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A copy of shipped_plans.load(), which may change later. One transaction: the file has a few dozen rows."""
    alias = schema_editor.connection.alias
    meters = apps.get_model("billing", "Meter").objects.using(alias)
    plans = apps.get_model("billing", "Plan").objects.using(alias)
    limits = apps.get_model("billing", "PlanLimit").objects.using(alias)
    shipped: dict[str, list[dict[str, Any]]] = json.loads(DATA.read_text(encoding="utf-8"))
    with transaction.atomic(using=alias):
        for row in shipped["meters"]:
            meters.get_or_create(slug=row["slug"], defaults={"shipped": True, **row})
        ids = dict(meters.values_list("slug", "pk"))
        stored = set(plans.values_list("slug", flat=True))
        new = [row for row in shipped["plans"] if row["slug"] not in stored]
        for row in new:
            allowed = row.pop("limits")
            prices = {f"price_{cycle}_nano": _nano(row.pop(f"price_{cycle}_usd")) for cycle in ("monthly", "yearly")}
            plan = plans.create(shipped=True, created_at=timezone.now(), **prices, **row)
            limits.bulk_create(
                limits.model(plan=plan, meter_id=ids[slug], amount=_nano(amount) if isinstance(amount, str) else amount)
                for slug, amount in allowed.items()
            )
        apps.get_model("providers", "BookVersion").objects.using(alias).get_or_create(book="plans")  # type: ignore[misc]  # as it was named then
    print(f"  {len(new)} plans added", end="")  # noqa: T201 - a progress line


def _nano(usd: str) -> int:
    return int(Decimal(usd) * NANO)


def unload(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    with transaction.atomic(using=alias):
        apps.get_model("billing", "Plan").objects.using(alias).filter(shipped=True).delete()
        used = {
            meter
            for name in ("PlanLimit", "LimitOverride")
            for meter in apps.get_model("billing", name).objects.using(alias).values_list("meter_id", flat=True)
        }
        apps.get_model("billing", "Meter").objects.using(alias).filter(shipped=True).exclude(id__in=used).delete()
        apps.get_model("providers", "BookVersion").objects.using(alias).filter(book="plans").delete()  # type: ignore[misc]  # as it was named then


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0007_plans_and_limits"), ("providers", "0002_shipped_providers_and_rules")]

    operations = [migrations.RunPython(load, unload)]
