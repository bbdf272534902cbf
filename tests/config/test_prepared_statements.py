"""Statements that run for every call are prepared on PostgreSQL: counted on the server, which alone knows."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from django.db import connection

from billing.limits import reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operation
from billing.limits.reservations import ReservationRequest
from billing.models import Account
from tests.billing.ledger_rows import record
from tests.billing.plan_limits import set_limits

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="only on PostgreSQL"),
]


def prepared(text: str) -> int:
    """How many of this session's prepared statements contain `text`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements WHERE strpos(statement, %s) > 0", [text])
        return int(cursor.fetchone()[0])


def test_recording_and_reserving_prepare_their_statements_once_and_a_refusal_keeps_them(now: datetime) -> None:
    connection.close()  # a session of its own, with nothing prepared
    record({})
    account = Account.objects.get()
    set_limits({"video_calls": 2})

    def reserve(name: str) -> None:
        request = ReservationRequest(name, [Operation(provider="video", category="video")], 900)
        reservations.reserve(account, request, now)

    reserve("r1")
    statements = ("FOR NO KEY UPDATE", "FROM usage_days", "INSERT INTO usage_reservations", "INSERT INTO usage_holds")
    assert [prepared(text) for text in statements] == [1, 1, 1, 1]
    before = prepared("")
    reserve("r2")
    with pytest.raises(Refusal):
        reserve("r3")
    assert prepared("") == before
    assert connection.connection.prepare_threshold is not None
