"""Logs of a period are read in pages by (timestamp, id), also where many have the same time."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.archive import ordered_logs
from billing.models import UsageLog
from tests.billing.ledger_rows import NOON, record

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("instants", [1, 2, 5, 30])
def test_pages_are_complete_and_in_order(size: int, instants: int) -> None:
    generator = random.Random(size * instants)
    times = [(NOON - timedelta(seconds=generator.randrange(instants))).isoformat() for _ in range(30)]
    record(*({"event_id": f"e{number}", "occurred_at": time} for number, time in enumerate(times)))
    record({"account": "b"})
    logs = UsageLog.objects.filter(account__external_id="a")
    pages = list(ordered_logs.iter_pages(logs, until=NOON + timedelta(days=1), size=size))
    assert [log.id for page in pages for log in page] == list(
        logs.order_by("timestamp", "id").values_list("id", flat=True)
    )
    assert [len(page) for page in pages] == [size] * (30 // size) + ([30 % size] if 30 % size else [])


def test_windows_grow_over_time_without_calls_and_shrink_where_there_are_many() -> None:
    seconds = [*range(40), *(10**8 + number for number in range(3))]
    record(*({"event_id": f"e{n}", "occurred_at": (NOON - timedelta(seconds=n)).isoformat()} for n in seconds))
    with CaptureQueriesContext(connection) as queries:
        pages = list(ordered_logs.iter_pages(UsageLog.objects.all(), until=NOON + timedelta(days=1), size=10))
    assert [len(page) for page in pages] == [10, 10, 10, 10, 3]
    assert len(queries) < 60
    assert all('"timestamp" < ' in query["sql"] or "`timestamp` < " in query["sql"] for query in queries)
