"""Loads the providers and detection rules shipped with a release, at each `migrate`.

New rows are added; a stored row takes its new values unless an operator has edited it. `shipped_values` is the row of the
file that was loaded last, so a row that differs from it has been edited. Rules stay switched off.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from lib import retry
from providers import price_book, rulebook
from providers.detection import label_key
from providers.models import DetectionRule, Provider

DATA = Path(__file__).resolve().parent / "data"
PROVIDER_COLUMNS = ("name", "aliases", "is_gateway")
RULE_COLUMNS = ("evidence", "pattern", "declared", "provider_id", "ignore_host", "category", "order", "note")

Row = dict[str, Any]
ShippedRow = TypeVar("ShippedRow", Provider, DetectionRule)


@dataclass(slots=True)
class Changes:
    """Slugs of the rows that one load has changed, or kept against the new release."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)  # no longer shipped: switched off
    unreplaced: list[str] = field(default_factory=list)  # the release has other values, but an operator edited the row
    left_out: list[str] = field(default_factory=list)  # another provider has one of its names

    def describe(self) -> str:
        """Returns for example "2 added, 1 kept as edited (host-x)"; "" if the release has nothing new."""
        parts = [f"{len(self.added)} added"] if self.added else []
        lists = {
            "replaced": self.replaced,
            "switched off, no longer shipped": self.withdrawn,
            "kept as edited": self.unreplaced,
            "left out, as another provider has its name": self.left_out,
        }
        parts += [f"{len(slugs)} {text} ({', '.join(slugs)})" for text, slugs in lists.items() if slugs]
        return ", ".join(parts)


@retry.atomic
def load() -> tuple[Changes, Changes]:
    """Loads the files. Returns the changes of providers and of rules."""
    providers = _load_providers(read_rows("providers.json"))
    rules = _load_rules(read_rows("rules.json"))
    if providers.describe() or rules.describe():
        rulebook.invalidate()
        price_book.invalidate()  # model ids are matched by the providers' aliases
    return providers, rules


def read_rows(name: str) -> list[Row]:
    rows: list[Row] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


def _load_providers(rows: list[Row]) -> Changes:
    loader = _Loader(Provider, PROVIDER_COLUMNS, lambda row: Provider(**row))
    owners = {label_key(name): slug for slug, stored in loader.stored.items() for name in _names(stored)}
    for row in rows:
        provider = loader.build(row)
        if any(owners.get(label_key(name), provider.slug) != provider.slug for name in _names(provider)):
            loader.leave_out(row)
        else:
            loader.load(row)
    return loader.save()


def _names(provider: Provider) -> list[str]:
    return [provider.slug, provider.name, *provider.aliases]


def _load_rules(rows: list[Row]) -> Changes:
    ids = dict(Provider.objects.values_list("slug", "pk"))

    def build(row: Row) -> DetectionRule:
        columns = {name: value for name, value in row.items() if name != "provider"}
        return DetectionRule(**columns, provider_id=ids.get(row.get("provider", "")))

    loader = _Loader(DetectionRule, RULE_COLUMNS, build)
    for row in rows:
        if row.get("provider") is None or row["provider"] in ids:
            loader.load(row)
    slugs = {row["slug"] for row in rows}
    for slug, rule in loader.stored.items():
        if rule.active and rule.shipped_values and slug not in slugs and not loader.is_edited(rule):
            rule.active, rule.shipped_values = False, None
            rule.save(update_fields=["active", "shipped_values"])
            loader.changes.withdrawn.append(slug)
    return loader.save()


class _Loader(Generic[ShippedRow]):
    """Compares the rows of one file with the rows of its table."""

    def __init__(self, model: type[ShippedRow], columns: tuple[str, ...], build: Callable[[Row], ShippedRow]) -> None:
        self.model: type[ShippedRow] = model
        self.columns = columns
        self.build: Callable[[Row], ShippedRow] = build
        self.stored: dict[str, ShippedRow] = {row.slug: row for row in model.objects.select_for_update()}
        self.new: list[ShippedRow] = []
        self.changes = Changes()

    def load(self, row: Row) -> None:
        stored, target = self.stored.get(row["slug"]), self.build(row)
        if stored is None:
            target.shipped, target.shipped_values = True, self._as_shipped(target, row)
            self.new.append(target)
            self.changes.added.append(target.slug)
        elif stored.shipped and self._is_new(row, stored):
            self._replace(stored, target, row)

    def _replace(self, stored: ShippedRow, target: ShippedRow, row: Row) -> None:
        """Sets the new values, also in the audit trail, unless the row was edited."""
        columns: tuple[str, ...] = ()
        if self._values(stored) != self._values(target):
            if self.is_edited(stored):
                self.changes.unreplaced.append(stored.slug)
            else:
                self.changes.replaced.append(stored.slug)
                columns = self.columns
        for name in columns:
            setattr(stored, name, getattr(target, name))
        stored.shipped_values = self._as_shipped(target, row)
        stored.save(update_fields=[*columns, "shipped_values"])

    def leave_out(self, row: Row) -> None:
        """Names a provider that is new, or has new values, and cannot be stored."""
        stored = self.stored.get(row["slug"])
        if stored is None or (stored.shipped and self._is_new(row, stored)):
            self.changes.left_out.append(row["slug"])

    def _is_new(self, row: Row, stored: ShippedRow) -> bool:
        loaded = stored.shipped_values
        return loaded is None or self._values(self.build(loaded)) != self._values(self.build(row))

    def is_edited(self, stored: ShippedRow) -> bool:
        """Tells whether the row differs from what was loaded, or may do so, as that is unknown."""
        return stored.shipped_values is None or self._values(stored) != self._values(self.build(stored.shipped_values))

    def save(self) -> Changes:
        self.model.objects.bulk_create(self.new, batch_size=500)
        return self.changes

    def _as_shipped(self, target: ShippedRow, row: Row) -> Row:
        """Returns the row of the file with its defaults."""
        values = {name: getattr(target, name) for name in ("slug", *self.columns) if name != "provider_id"}
        return values | ({"provider": row["provider"]} if row.get("provider") else {})

    def _values(self, row: ShippedRow) -> list[Any]:
        return [getattr(row, name) for name in self.columns]
