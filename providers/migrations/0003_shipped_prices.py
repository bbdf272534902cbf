"""Puts the shipped prices into their table.

Reads the data file of the release that is being installed, so that a new installation starts with today's book. It
never touches a row that exists. The reverse removes every shipped price; an operator's own rows stay.
"""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

DATA = Path(__file__).resolve().parent.parent / "data" / "prices.json"
NANO = 1_000_000_000
MILLION = 1_000_000


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A copy of shipped_prices.load(), which may change later. One transaction: the file has a few dozen rows."""
    alias = schema_editor.connection.alias
    prices = apps.get_model("providers", "Price").objects.using(alias)
    rate_model = apps.get_model("providers", "PriceRate")
    added = 0
    with transaction.atomic(using=alias):
        providers = dict(apps.get_model("providers", "Provider").objects.using(alias).values_list("slug", "pk"))
        stored = set(prices.values_list("provider__slug", "pattern", "valid_from"))
        for row in json.loads(DATA.read_text(encoding="utf-8")):
            slug, day, rates = row.pop("provider"), date.fromisoformat(row.pop("valid_from")), row.pop("rates")
            if slug not in providers or (slug, row["pattern"], day) in stored:
                continue
            price = prices.create(provider_id=providers[slug], valid_from=day, shipped=True, **row)
            ready = [rate_model(price=price, **_columns(rate)) for rate in rates]
            rate_model.objects.using(alias).bulk_create(ready)
            added += 1
        apps.get_model("providers", "BookVersion").objects.using(alias).get_or_create(book="prices")  # type: ignore[misc]  # as it was named then
    print(f"  {added} prices added", end="")  # noqa: T201 - a progress line


def _columns(rate: dict[str, Any]) -> dict[str, Any]:
    per_million = int(Decimal(rate["usd"]) * NANO * MILLION / rate["per"])
    return {
        "unit": rate["unit"],
        "variant": rate.get("variant", ""),
        "above": rate.get("above", 0),
        "nano_per_million": per_million,
    }


def unload(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    with transaction.atomic(using=alias):
        apps.get_model("providers", "Price").objects.using(alias).filter(shipped=True).delete()
        apps.get_model("providers", "BookVersion").objects.using(alias).filter(book="prices").delete()  # type: ignore[misc]  # as it was named then


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("providers", "0002_shipped_providers_and_rules")]

    operations = [migrations.RunPython(load, unload)]
