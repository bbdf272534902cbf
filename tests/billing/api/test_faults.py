"""R5: a fault at any query, or at the commit, of `POST usage/` stores all or nothing, and the ledger stays equal."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from billing.models import Account, PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel
from billing.verification import rollup_check
from tests.billing.faults import ROLLUPS, Fault
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = {"account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}}
BATCH = {"events": [{**EVENT, "event_id": f"e{n}", "account": f"a{n % 3}"} for n in range(9)]}
MOST_QUERIES = 20


def stored() -> list[int]:
    tables = (UsageLog, UsageDay, UsageModel, PlatformDay, ProviderMinute, Account)
    return [model.objects.count() for model in tables]


def differences() -> list[str]:
    with transaction.atomic():
        return [str(one) for part in rollup_check.check() for one in part.differences]


@pytest.mark.parametrize("body", [{**EVENT, "event_id": "e1"}, BATCH], ids=["one event", "a batch"])
def test_a_database_that_goes_away_at_any_query_is_503_and_nothing_is_stored(service: Api, body: Any) -> None:
    failed = 0
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault):
            answer = service.post("usage/", body)
        if fault.number > 0:  # there was no such query
            break
        failed += 1
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")
        assert int(answer["Retry-After"]) > 0
        assert (stored(), differences()) == ([0] * 6, [])

    assert answer.status_code in (200, 201)
    assert failed >= 4 + ROLLUPS
    assert UsageLog.objects.count() == len(body.get("events", [1]))
    assert differences() == []


def test_a_repeat_and_a_new_event_survive_faults_as_well(service: Api) -> None:
    service.post("usage/", {**EVENT, "event_id": "e0", "account": "a0"})
    before = stored()
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault):
            answer = service.post("usage/", BATCH)
        if fault.number > 0:
            break
        assert (answer.status_code, stored(), differences()) == (503, before, [])

    assert (answer.json()["accepted"], answer.json()["duplicates"], differences()) == (8, 1, [])


def test_an_unforeseen_error_stores_nothing_either(service: Api) -> None:
    for number in range(2, MOST_QUERIES):
        fault = Fault(number, IntegrityError("unforeseen"))
        with connection.execute_wrapper(fault):
            answer = service.post("usage/", {**EVENT, "event_id": "e1"})
        if fault.number > 0:
            break
        assert answer.status_code in (422, 500)
        assert (stored(), differences()) == ([0] * 6, [])
    assert answer.status_code == 201


def test_a_commit_that_fails_is_503_and_nothing_is_stored(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    service.get("usage/logs/")  # the key's last use is noted

    def fail() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        answer = service.post("usage/", BATCH)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")
    assert (stored(), differences()) == ([0] * 6, [])
    assert service.post("usage/", BATCH).json()["accepted"] == 9
    assert differences() == []
