"""R5: a void, re-pricing or revert that fails at any query or at the commit changes nothing and can be run again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from billing.corrections import repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.faults import CORRECTION_QUERIES, Fault
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, set_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

NEW_MODEL = "brand-new-1"
UNPRICED_CALL = {"model": NEW_MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}}


def state() -> tuple[Any, ...]:
    """The logs' charges, the numbers of adjustments and of batches with logs, and the rollups."""
    logs = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced", "voided_at")
    counts = UsageAdjustment.objects.count(), CorrectionBatch.objects.exclude(logs=0).count()
    return list(logs), counts, rollups()


def run_with_fault_at(number: int, task: Callable[[], object]) -> bool:
    """Runs the task with a fault at its n-th query. Returns False if it has fewer queries."""
    fault = Fault(number, OperationalError("the database is away"))
    with connection.execute_wrapper(fault), contextlib.suppress(OperationalError):
        task()
    return fault.number <= 0


def test_a_void_that_fails_at_any_query_answers_503_and_changes_nothing(service: Api) -> None:
    (result,) = record(UNPRICED_CALL)
    before, status_codes = state(), list[int]()

    def void() -> None:
        status_codes.append(service.post(f"usage/logs/{result.id}/void/", {"reason": "x"}).status_code)

    number = 1
    while run_with_fault_at(number, void):
        assert status_codes[-1] == 503
        voided = UsageLog.objects.exclude(voided_at=None).exists()  # the query that failed came after the commit
        assert voided or state() == before
        assert_ledger_consistent()
        number += 1

    assert (status_codes[-1], UsageAdjustment.objects.count(), CorrectionBatch.objects.count()) == (200, 1, 1)
    assert number >= 9 + CORRECTION_QUERIES
    assert_ledger_consistent()


def test_a_failed_commit_voids_nothing(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = record(UNPRICED_CALL)
    service.get("usage/logs/")  # stores the key's time of last use
    before = state()

    def fail() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", fail)
        response = service.post(f"usage/logs/{result.id}/void/", {"reason": "x"})

    assert (response.status_code, state()) == (503, before)
    assert_ledger_consistent()


def reprice() -> None:
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    list(repricing.run(batch, size=10, clock=lambda: NOON))


def revert() -> None:
    batch = CorrectionBatch.objects.get(kind="reprice")
    list(repricing.revert(batch, actor="ann", size=10, clock=lambda: NOON))


@pytest.mark.parametrize("task", [reprice, revert])
def test_a_batch_that_fails_at_any_query_can_be_run_again(task: Callable[[], None]) -> None:
    record(*({**UNPRICED_CALL, "event_id": f"e{n}"} for n in range(3)))
    set_price(NEW_MODEL, input_tokens="5")
    if task is revert:
        reprice()
    number = 1
    while run_with_fault_at(number, task):
        assert_ledger_consistent()
        number += 1

    assert number >= 9 + CORRECTION_QUERIES
    kinds = UsageAdjustment.objects.values_list("kind", flat=True)
    assert sorted(kinds) == ["reprice"] * 3 + ["revert"] * (3 if task is revert else 0)
    assert CorrectionBatch.objects.filter(finished_at=None).count() == 0
    charge_nano = 0 if task is revert else 5_000_000
    assert set(UsageLog.objects.values_list("effective_nano", flat=True)) == {charge_nano}
    assert_ledger_consistent()
