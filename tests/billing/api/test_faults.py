"""R5: with a fault at any query or at the commit, `POST usage/` stores all or nothing, and the ledger stays consistent."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection

from billing.models import Account, PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel
from tests.billing.faults import ROLLUP_QUERIES, Fault
from tests.billing.ledger_rows import rollup_differences
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = {"account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}}
BATCH = {"events": [{**EVENT, "event_id": f"e{n}", "account": f"a{n % 3}"} for n in range(9)]}
MAX_QUERIES = 20


def row_counts() -> list[int]:
    tables = (UsageLog, UsageDay, UsageModel, PlatformDay, ProviderMinute, Account)
    return [model.objects.count() for model in tables]


@pytest.mark.parametrize("body", [{**EVENT, "event_id": "e1"}, BATCH], ids=["one event", "a batch"])
def test_a_database_fault_at_any_query_is_503_and_nothing_is_stored(service: Api, body: Any) -> None:
    failed = 0
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, OperationalError("the database is down"))
        with connection.execute_wrapper(fault):
            response = service.post("usage/", body)
        if fault.number > 0:  # the request made fewer queries
            break
        failed += 1
        assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "unavailable")
        assert int(response["Retry-After"]) > 0
        assert (row_counts(), rollup_differences()) == ([0] * 6, [])

    assert response.status_code in (200, 201)
    assert failed >= 4 + ROLLUP_QUERIES
    assert UsageLog.objects.count() == len(body.get("events", [1]))
    assert rollup_differences() == []


def test_a_batch_with_a_duplicate_survives_faults(service: Api) -> None:
    service.post("usage/", {**EVENT, "event_id": "e0", "account": "a0"})
    before = row_counts()
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, OperationalError("the database is down"))
        with connection.execute_wrapper(fault):
            response = service.post("usage/", BATCH)
        if fault.number > 0:
            break
        assert (response.status_code, row_counts(), rollup_differences()) == (503, before, [])

    assert (response.json()["accepted"], response.json()["duplicates"], rollup_differences()) == (8, 1, [])


def test_an_unexpected_error_stores_nothing(service: Api) -> None:
    for number in range(2, MAX_QUERIES):
        fault = Fault(number, IntegrityError("unexpected"))
        with connection.execute_wrapper(fault):
            response = service.post("usage/", {**EVENT, "event_id": "e1"})
        if fault.number > 0:
            break
        assert response.status_code in (422, 500)
        assert (row_counts(), rollup_differences()) == ([0] * 6, [])
    assert response.status_code == 201


def test_a_failed_commit_is_503_and_nothing_is_stored(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    service.get("usage/logs/")  # records the key's last use

    def fail() -> None:
        raise OperationalError("the database is down")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        response = service.post("usage/", BATCH)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "unavailable")
    assert (row_counts(), rollup_differences()) == ([0] * 6, [])
    assert service.post("usage/", BATCH).json()["accepted"] == 9
    assert rollup_differences() == []
