"""Readiness for distribution: keys, constraints and column types of growing tables, as the database reports them."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models

pytestmark = pytest.mark.django_db

GROWING_TABLES = (
    "api_usage_logs",
    "usage_adjustments",
    "usage_days",
    "usage_models",
    "closed_periods",
    "usage_reservations",
    "usage_holds",
    "subscription_events",
    "idempotency_keys",
    "statements",
    "usage_alerts",
    "deliveries",
    "archives",
    "archived_events",
    "archived_usage",
    "unread_field_uses",
)
OWN_APPS = ("billing", "providers", "monitoring")
TABLES = sorted(model._meta.db_table for label in OWN_APPS for model in apps.get_app_config(label).get_models())
TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    "mysql": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
}
FLOAT_TYPES = {"real", "double", "double precision", "float", "numeric", "decimal"}


def constraints(table: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        return dict(connection.introspection.get_constraints(cursor, table))


@pytest.mark.parametrize("table", GROWING_TABLES)
def test_the_account_is_in_every_unique_key_of_a_growing_table(table: str) -> None:
    keys = [key for key in constraints(table).values() if key["unique"] or key["primary_key"]]
    if connection.vendor == "sqlite":  # SQLite is never distributed: the primary key may be the id alone
        keys = [key for key in keys if key["columns"] != ["id"]]

    assert keys or connection.vendor == "sqlite"
    assert [key["columns"] for key in keys if "account_id" not in key["columns"]] == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite is never distributed; its primary key is (id)")
@pytest.mark.parametrize("table", GROWING_TABLES)
def test_a_row_is_looked_up_by_id_or_key_with_one_index_seek(table: str) -> None:
    (primary,) = [key for key in constraints(table).values() if key["primary_key"]]
    assert primary["columns"][0] in ("id", "account_id")
    if "id" in primary["columns"]:
        assert primary["columns"] == ["id", "account_id"]


@pytest.mark.parametrize("table", GROWING_TABLES)
def test_a_growing_table_has_no_foreign_keys(table: str) -> None:
    assert [name for name, key in constraints(table).items() if key["foreign_key"]] == []


def test_there_are_no_triggers() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS[connection.vendor])
        assert list(cursor.fetchall()) == []


def test_no_column_is_a_float_or_a_decimal() -> None:
    fields = [
        field for label in OWN_APPS for model in apps.get_app_config(label).get_models() for field in model._meta.fields
    ]
    assert [str(field) for field in fields if isinstance(field, models.FloatField | models.DecimalField)] == []
    assert [
        str(field) for field in fields if (field.db_type(connection) or "").split("(")[0].lower() in FLOAT_TYPES
    ] == []


@pytest.mark.parametrize("table", TABLES)
def test_money_is_stored_in_64_bits(table: str) -> None:
    (model,) = [
        model
        for label in OWN_APPS
        for model in apps.get_app_config(label).get_models()
        if model._meta.db_table == table
    ]
    names = ("nano", "cost_")
    money = [
        field
        for field in model._meta.fields
        if any(name in field.name for name in names) and "source" not in field.name
    ]
    wrong = [str(field) for field in money if not isinstance(field, models.BigIntegerField | models.BooleanField)]
    assert wrong == []


@pytest.mark.skipif(connection.vendor != "mysql", reason="the other databases compare text exactly by default")
def test_text_written_by_callers_compares_exactly() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL AND table_name IN %s",
            [(*GROWING_TABLES, "accounts", "platform_days", "provider_minutes", "correction_batches")],
        )
        inexact = [
            row for row in cursor.fetchall() if row[2] not in ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")
        ]
    assert inexact == []
