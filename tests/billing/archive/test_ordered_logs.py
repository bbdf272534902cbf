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
    pages = list(ordered_logs.iter_pages(logs, size))
    assert [log.id for page in pages for log in page] == list(
        logs.order_by("timestamp", "id").values_list("id", flat=True)
    )
    assert [len(page) for page in pages] == [size] * (30 // size) + ([30 % size] if 30 % size else [])


def test_the_rows_read_grow_with_the_logs() -> None:
    record(*({"event_id": f"e{n}", "occurred_at": (NOON - timedelta(seconds=n)).isoformat()} for n in range(40)))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert sum(map(len, ordered_logs.iter_pages(UsageLog.objects.all(), 10))) == 40
    assert len(queries) <= 5
