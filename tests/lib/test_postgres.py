"""PostgreSQL only: binary arrays arrive unchanged, and errors are raised as Django's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, connection

from billing.models import UsageLog
from lib import postgres
from tests.billing.ledger_rows import NOON, record

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL"),
]
KEY = UUID("0193a1b2-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    "values",
    [
        [-(2**63), 0, 2**63 - 1],
        ["", "a", "\u00e9\u4e2d\U0001f680", "x" * 5000],
        [date(1970, 1, 1), date(2026, 11, 22)],
        [datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2026, 11, 22, tzinfo=UTC)],
        [KEY],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_an_array_arrives_unchanged(values: list[Any]) -> None:
    array = postgres.BinaryArray(values)
    with postgres.native_cursor(connection) as cursor:
        cursor.execute(f"SELECT %b::{array.type}[]".encode(), [array])
        assert cursor.fetchone() == (values,)


def test_a_uuid_may_be_passed_as_bytes() -> None:
    assert postgres.BinaryArray([KEY.bytes]).packed == postgres.BinaryArray([KEY]).packed


def test_an_error_is_raised_as_djangos() -> None:
    with pytest.raises(DataError), postgres.native_cursor(connection) as cursor:
        cursor.execute("SELECT 1 / 0")


def test_rows_equal_those_that_django_reads() -> None:
    record({"metadata": {"a": [1, 0.5, None, "\u00e9"]}, "usage": {"seconds": "0.5"}}, {"provider": "x.y"})
    columns = (
        "id",
        "account_id",
        "timestamp",
        "usage_period",
        "late_for",
        "units",
        "metadata",
        "is_priced",
        "provider",
    )
    logs = UsageLog.objects.filter(provider__contains="", timestamp__lte=NOON).order_by("id").values_list(*columns)

    assert postgres.fetch_binary(connection, logs) == list(logs)
    assert postgres.fetch_binary(connection, logs.filter(id__in=[])) == []
