"""The providers and detection rules that come with a release, put into the tables without touching a row that is there.

An upgrade loads them again: new ones are added, and what an operator changed or switched off stays as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.db import transaction

from providers import rulebook
from providers.models import DetectionRule, Provider

DATA = Path(__file__).resolve().parent / "data"


@transaction.atomic
def load() -> tuple[int, int]:
    """Adds the providers and rules whose slug has no row; how many of each these were."""
    providers = [Provider(shipped=True, **row) for row in _missing("providers.json", Provider)]
    Provider.objects.bulk_create(providers, batch_size=500)
    ids = dict(Provider.objects.values_list("slug", "pk"))
    rules = [DetectionRule(shipped=True, **_columns(row, ids)) for row in _missing("rules.json", DetectionRule)]
    DetectionRule.objects.bulk_create(rules, batch_size=500)
    if providers or rules:
        rulebook.changed()
    return len(providers), len(rules)


def rows(name: str) -> list[dict[str, Any]]:
    """The file as it is: one object a line."""
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return found


def _missing(name: str, model: type[Provider | DetectionRule]) -> list[dict[str, Any]]:
    stored = set(model.objects.values_list("slug", flat=True))
    return [row for row in rows(name) if row["slug"] not in stored]


def _columns(row: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """The file names a provider by its slug, the table by its id."""
    columns = {name: value for name, value in row.items() if name != "provider"}
    return columns | {"provider_id": ids[row["provider"]] if row.get("provider") else None}
