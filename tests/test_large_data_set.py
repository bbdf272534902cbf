"""The data set for measuring pages has the target number of accounts and providers, and correct rollups."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from bench import large_data_set
from billing.models import Account, PlatformDay, UsageLog
from tests.billing.ledger_rows import differences

AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "mysql", reason="the bench supports PostgreSQL and SQLite only")
def test_its_rollups_equal_its_log() -> None:
    large_data_set.fill(2_000, at=AT)

    assert differences() == []
    assert (UsageLog.objects.count(), Account.objects.count()) == (2_000, 10_000)
    assert PlatformDay.objects.order_by().values("actual").distinct().count() == 40
    days = UsageLog.objects.order_by("timestamp").values_list("usage_day", flat=True)
    assert (str(days[0]), str(days[1_999])) == ("2024-11-28", "2026-11-28")


def test_it_is_reproducible_and_calls_per_account_follow_zipf() -> None:
    rows = list(large_data_set._log_rows(0, 20_000, 20_000, AT))

    assert rows == list(large_data_set._log_rows(0, 20_000, 20_000, AT))
    calls = [sum(row[1] == account for row, _ in rows) for account in (1, 2, 10)]
    assert calls == [2071, 977, 213]
