"""One statement sets different values on many rows and returns how many rows matched."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import pytest
from django.db import connection

from billing.models import UsageLog
from lib import bulk_update
from tests.billing.ledger_rows import record

pytestmark = pytest.mark.django_db

COLUMNS, KEYS = ("effective_nano", "voided_at"), ("id", "account_id")


def logs() -> list[UsageLog]:
    record({}, {}, {})
    return list(UsageLog.objects.order_by("event_id"))


def test_each_row_gets_its_own_values(now: datetime) -> None:
    first, _, third = logs()
    values = [(5, now, first.id, first.account_id), (7, None, third.id, third.account_id)]

    assert bulk_update.update(connection, UsageLog, COLUMNS, KEYS, values) == 2
    assert list(UsageLog.objects.order_by("event_id").values_list(*COLUMNS)) == [(5, now), (10**9, None), (7, None)]


def test_rows_that_do_not_match_are_not_counted() -> None:
    (first, *_) = logs()
    unmatched: list[tuple[int, None, UUID, int]] = [(5, None, uuid4(), 1), (5, None, first.id, first.account_id + 1)]

    assert bulk_update.update(connection, UsageLog, COLUMNS, KEYS, unmatched) == 0
    assert bulk_update.update(connection, UsageLog, COLUMNS, KEYS, []) == 0
    assert set(UsageLog.objects.values_list("effective_nano", flat=True)) == {10**9}


def test_only_if_null_skips_rows_whose_column_has_a_value(now: datetime) -> None:
    first, second, _ = logs()
    UsageLog.objects.filter(pk=first.pk).update(voided_at=now)
    values = [(nano, log.id) for nano, log in ((5, first), (7, second))]

    assert bulk_update.update(connection, UsageLog, ("effective_nano",), ("id",), values, only_if_null="voided_at") == 1
    assert list(UsageLog.objects.order_by("event_id").values_list("effective_nano", flat=True)) == [10**9, 7, 10**9]
