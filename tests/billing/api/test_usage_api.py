"""`POST usage/`: every response to one event and to a batch."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Account, UsageDay, UsageLog
from tests.conftest import Api

pytestmark = pytest.mark.django_db

EVENT = {
    "event_id": "e1",
    "provider": "openai",
    "model": "gpt-4o",
    "usage": {"input_tokens": 1000, "output_tokens": 500},
}


def test_one_event_is_accepted(bound: Api) -> None:
    response = bound.post("usage/", EVENT)

    assert response.status_code == 201
    assert response.json() == {
        "event_id": "e1",
        "status": "accepted",
        "id": str(UsageLog.objects.get().id),
        "actual_provider": "openai",
        "confidence": "weak",
        "cost_usd": "0.0075",
        "priced": True,
        "usage_state": "complete",
        "unpriced_reason": None,
    }


@pytest.mark.parametrize("repeats", [1, 2])
def test_the_cost_of_an_unpriced_event_is_null_and_never_zero(bound: Api, repeats: int) -> None:
    for _ in range(repeats):
        body = bound.post("usage/", {**EVENT, "model": "gpt-unknown"}).json()
    batch = bound.post("usage/", {"events": [{**EVENT, "event_id": "e2", "model": "gpt-unknown"}]}).json()

    for result in (body, batch["results"][0]):
        assert [result[name] for name in ("cost_usd", "priced", "unpriced_reason")] == [None, False, "price_unknown"]
    assert set(UsageLog.objects.values_list("cost_total", "is_priced")) == {(0, False)}


def test_a_duplicate_gets_the_first_result(bound: Api) -> None:
    first = bound.post("usage/", EVENT).json()
    repeated = bound.post("usage/", {**EVENT, "method": "POST", "metadata": {}})

    assert repeated.status_code == 200
    assert repeated.json() == {**first, "status": "duplicate"}
    assert UsageDay.objects.get().calls == 1


def test_other_content_with_a_stored_id_is_a_conflict(bound: Api) -> None:
    bound.post("usage/", EVENT)
    response = bound.post("usage/", {**EVENT, "model": "gpt-4o-mini"})

    assert response.status_code == 409
    assert response.json()["errors"][0]["code"] == "event_conflict"
    assert UsageLog.objects.get().model_used == "gpt-4o"


def test_a_bad_event_of_a_batch_is_rejected_alone(bound: Api) -> None:
    batch: list[dict[str, Any]] = [{**EVENT, "event_id": f"e{index}"} for index in range(100)]
    batch[17]["usage"] = {"input_tokens": -1}
    response = bound.post("usage/", {"events": batch})

    assert response.status_code == 207
    body = response.json()
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (99, 0, 1)
    assert body["results"][17] == {
        "index": 17,
        "event_id": "e17",
        "status": "rejected",
        "id": None,
        "actual_provider": None,
        "confidence": None,
        "cost_usd": None,
        "priced": None,
        "usage_state": None,
        "unpriced_reason": None,
        "errors": [{"code": "min_value", "detail": "Expected `int` >= 0.", "attr": "events.17.usage.input_tokens"}],
    }
    assert UsageLog.objects.count() == 99
    assert sum(UsageDay.objects.values_list("calls", flat=True)) == 99


def test_a_batch_of_only_bad_events_is_422(bound: Api) -> None:
    response = bound.post("usage/", {"events": [{"event_id": "a"}, 3]})

    assert response.status_code == 422
    assert [result["errors"][0]["attr"] for result in response.json()["results"]] == ["events.0.provider", "events.1"]
    assert not UsageLog.objects.exists()


def test_a_service_key_creates_the_account_that_it_names(service: Api) -> None:
    response = service.post("usage/", {**EVENT, "account": "new one"})

    assert response.status_code == 201
    assert Account.objects.get().external_id == "new one"


def test_a_refused_event_creates_no_account(service: Api) -> None:
    response = service.post("usage/", {**EVENT, "account": "new one", "occurred_at": "2020-01-01T00:00:00Z"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["attr"] == "occurred_at"
    assert not Account.objects.exists()
