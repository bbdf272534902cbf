"""The data set on which pages are measured: as many accounts and providers as the targets say, and rollups that are right."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from bench import large
from billing.models import Account, PlatformDay, UsageLog
from billing.verification import verify

AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "mysql", reason="the bench keeps data sets in PostgreSQL and SQLite")
def test_its_rollups_equal_its_log() -> None:
    large.fill(2_000, at=AT)

    assert [str(one) for part in verify.parts() for one in part.differences] == []
    assert (UsageLog.objects.count(), Account.objects.count()) == (2_000, 10_000)
    assert PlatformDay.objects.order_by().values("actual").distinct().count() == 40
    days = UsageLog.objects.order_by("timestamp").values_list("usage_day", flat=True)
    assert (str(days[0]), str(days[1_999])) == ("2024-11-28", "2026-11-28")


def test_it_is_the_same_every_time_and_its_accounts_follow_zipf() -> None:
    rows = list(large._rows(0, 20_000, 20_000, AT))

    assert rows == list(large._rows(0, 20_000, 20_000, AT))
    calls = [sum(row[1] == account for row, _ in rows) for account in (1, 2, 10)]
    assert calls == [2071, 977, 213]
