"""The shipped providers and rules: the migration forward, twice and back, and a loader that keeps operators' edits."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from providers import rulebook, shipped
from providers.models import CatalogVersion, DetectionRule, Price, Provider
from tests.providers.historical_apps import apps_after

migration: Any = import_module("providers.migrations.0002_shipped_providers_and_rules")


def stored_rows() -> tuple[list[Any], list[Any]]:
    return list(Provider.objects.order_by("pk").values()), list(DetectionRule.objects.order_by("pk").values())


def as_file_row(rule: DetectionRule) -> dict[str, Any]:
    row: dict[str, Any] = {"slug": rule.slug, "evidence": rule.evidence, "pattern": rule.pattern}
    optional = {
        "declared": rule.declared,
        "provider": rule.provider.slug if rule.provider else None,
        "ignore_host": rule.ignore_host,
        "category": rule.category,
        "order": None if rule.order == 1000 else rule.order,
        "note": rule.note,
    }
    return row | {name: value for name, value in optional.items() if value}


@pytest.mark.django_db
def test_the_tables_have_the_rows_of_the_files() -> None:
    rules = DetectionRule.objects.select_related("provider")
    assert sorted((as_file_row(rule) for rule in rules), key=lambda row: str(row["slug"])) == sorted(
        shipped.read_rows("rules.json"), key=lambda row: str(row["slug"])
    )
    assert set(Provider.objects.values_list("slug", "name")) == {
        (row["slug"], row["name"]) for row in shipped.read_rows("providers.json")
    }
    assert (
        set(Provider.objects.values_list("shipped", flat=True))
        == set(rules.values_list("shipped", flat=True))
        == {True}
    )


@pytest.mark.django_db
def test_loading_again_changes_nothing() -> None:
    before, version = stored_rows(), rulebook.read_version()
    assert [changes.describe() for changes in shipped.load()] == ["", ""]
    assert (stored_rows(), rulebook.read_version()) == (before, version)


@pytest.mark.django_db
def test_loading_again_keeps_edits_and_adds_missing_rows() -> None:
    DetectionRule.objects.filter(slug="host-openai.com").update(active=False, pattern="eu.api.openai.com")
    DetectionRule.objects.filter(slug="host-groq.com").delete()
    Provider.objects.filter(slug="openai").update(name="OpenAI (our contract)", aliases=["oai"])
    version = rulebook.read_version()
    assert [changes.describe() for changes in shipped.load()] == ["", "1 added"]
    edited = DetectionRule.objects.get(slug="host-openai.com")
    assert (edited.active, edited.pattern) == (False, "eu.api.openai.com")
    assert DetectionRule.objects.get(slug="host-groq.com").pattern == "groq.com"
    assert Provider.objects.get(slug="openai").name == "OpenAI (our contract)"
    assert rulebook.read_version() > version


@pytest.mark.django_db
def test_the_migration_run_twice_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = stored_rows()
    migration.load(apps_after("0004_price_proposals"), connection.schema_editor())
    assert stored_rows() == before
    assert capsys.readouterr().out.strip() == "0 providers, 0 detection rules added"


@pytest.mark.django_db
def test_the_reverse_migration_removes_shipped_rows_and_keeps_an_operators_own() -> None:
    provider = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="own", evidence="host", pattern="acme.example", provider=provider)
    used = Provider.objects.get(slug="openai")
    DetectionRule.objects.create(slug="own-2", evidence="host", pattern="acme.test", provider=used)
    Price.objects.all().delete()
    migration.unload(apps_after("0004_price_proposals"), connection.schema_editor())
    assert set(DetectionRule.objects.values_list("slug", flat=True)) == {"own", "own-2"}
    assert set(Provider.objects.values_list("slug", flat=True)) == {"acme", "openai"}
    assert not CatalogVersion.objects.filter(book="rules").exists()
