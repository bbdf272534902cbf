"""Loads the providers and detection rules shipped with a release. Existing rows are never touched.

An upgrade loads them again: it adds new ones and keeps what an operator changed or switched off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lib import retry
from providers import rulebook
from providers.models import DetectionRule, Provider

DATA = Path(__file__).resolve().parent / "data"


@retry.atomic
def load() -> tuple[int, int]:
    """Adds the providers and rules whose slug has no row yet. Returns how many of each were added."""
    providers = [Provider(shipped=True, **row) for row in _missing("providers.json", Provider)]
    Provider.objects.bulk_create(providers, batch_size=500)
    ids = dict(Provider.objects.values_list("slug", "pk"))
    rules = [DetectionRule(shipped=True, **_model_fields(row, ids)) for row in _missing("rules.json", DetectionRule)]
    DetectionRule.objects.bulk_create(rules, batch_size=500)
    if providers or rules:
        rulebook.invalidate()
    return len(providers), len(rules)


def read_rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


def _missing(name: str, model: type[Provider | DetectionRule]) -> list[dict[str, Any]]:
    stored = set(model.objects.values_list("slug", flat=True))
    return [row for row in read_rows(name) if row["slug"] not in stored]


def _model_fields(row: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """Replaces the provider's slug, used in the file, by its id."""
    columns = {name: value for name, value in row.items() if name != "provider"}
    return columns | {"provider_id": ids[row["provider"]] if row.get("provider") else None}
