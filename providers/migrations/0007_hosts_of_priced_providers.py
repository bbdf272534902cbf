"""Adds the providers that genai-prices prices and that had no host rule, with their rules, to an existing installation.

Reads the data files of the release that is being installed. It never touches a row that exists. It leaves out a
provider that an operator has under another slug, because a second row would take over names of the first. The reverse
removes what it adds, but keeps providers that prices or rules refer to; it cannot bring back what an operator edited.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F

DATA = Path(__file__).resolve().parent.parent / "data"
PROVIDERS = (
    *("arcee", "avian", "baseten", "cloudflare", "cursor", "databricks", "doubleword", "github-copilot", "meta"),
    *("modal", "moonshotai", "ovhcloud", "quicksilverpro", "typesafe", "voyageai", "zai", "zhipuai"),
)
OTHER_RULES = ("host-azure-api.net",)


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """One transaction: the files have less than a hundred rows of these providers."""
    alias = schema_editor.connection.alias
    provider_model, rule_model = apps.get_model("providers", "Provider"), apps.get_model("providers", "DetectionRule")
    with transaction.atomic(using=alias):
        providers = provider_model.objects.using(alias)
        new = [provider_model(shipped=True, **row) for row in _new_providers(providers.values())]
        providers.bulk_create(new)
        ids = dict(providers.values_list("slug", "id"))
        stored = set(rule_model.objects.using(alias).values_list("slug", flat=True))
        rules = [rule_model(shipped=True, **row) for row in _rules(ids) if row["slug"] not in stored]
        rule_model.objects.using(alias).bulk_create(rules)
        if new or rules:
            _invalidate(apps, alias)
    print(f"  {len(new)} providers, {len(rules)} detection rules added", end="")  # noqa: T201 - a progress line


def _new_providers(stored: Iterable[Any]) -> Iterator[dict[str, Any]]:
    stored = list(stored)
    slugs = {row["slug"] for row in stored}
    taken = {_key(name) for row in stored for name in (row["slug"], row["name"], *row["aliases"])}
    for row in _rows("providers.json"):
        names = {_key(name) for name in (row["slug"], row["name"], *row["aliases"])}
        if row["slug"] in PROVIDERS and row["slug"] not in slugs and not names & taken:
            yield row


def _rules(ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yields the columns of the shipped rules of those of the providers that exist."""
    for row in _rows("rules.json"):
        slug = row.pop("provider", None)
        if row["slug"] in OTHER_RULES or (slug in PROVIDERS and slug in ids):
            yield row | {"provider_id": ids[slug] if slug else None}


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


def _key(name: str) -> str:
    """A copy of detection.label_key()."""
    return re.sub(r"[\W_]+", "", name.lower())


def _invalidate(apps: Apps, alias: str) -> None:
    """Makes running processes reload the rules, and the prices, as these use the providers' aliases."""
    books = apps.get_model("providers", "CatalogVersion").objects.using(alias).filter(book__in=["rules", "prices"])
    books.update(version=F("version") + 1)


def unload(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    providers = apps.get_model("providers", "Provider").objects.using(alias).filter(shipped=True, slug__in=PROVIDERS)
    rules = apps.get_model("providers", "DetectionRule").objects.using(alias)
    with transaction.atomic(using=alias):
        slugs = [row["slug"] for row in _rows("rules.json") if row.get("provider") in PROVIDERS]
        rules.filter(shipped=True, slug__in=[*slugs, *OTHER_RULES]).delete()
        used = set(rules.exclude(provider=None).values_list("provider_id", flat=True))
        used |= set(apps.get_model("providers", "Price").objects.using(alias).values_list("provider_id", flat=True))
        providers.exclude(id__in=used).delete()
        _invalidate(apps, alias)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("providers", "0006_plainer_help_texts_and_labels")]

    operations = [migrations.RunPython(load, unload)]
