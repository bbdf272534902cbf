"""R5: a fault at any query, or at the commit, of a void, a re-pricing or a revert changes nothing, and can be repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from billing.corrections import repricing
from billing.corrections.repricing import Choice
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.faults import CORRECTED, Fault
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, set_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "brand-new-1"
CALL = {"model": NEW, "cost_usd": None, "usage": {"input_tokens": 1000}}


def state() -> tuple[Any, ...]:
    """The rows of corrections, what the logs are worth, and the totals; a batch that is only begun is none."""
    logs = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced", "voided_at")
    made = UsageAdjustment.objects.count(), CorrectionBatch.objects.exclude(logs=0).count()
    return list(logs), made, rollups()


def failing_at(number: int, work: Callable[[], object]) -> bool:
    """Do it with a fault at its n-th query; False where it has no such query."""
    fault = Fault(number, OperationalError("the database is away"))
    with connection.execute_wrapper(fault), contextlib.suppress(OperationalError):
        work()
    return fault.number <= 0


def test_a_void_that_fails_at_any_query_is_503_and_changes_nothing(service: Api) -> None:
    (result,) = record(CALL)
    before, answers = state(), list[int]()

    def void() -> None:
        answers.append(service.post(f"usage/logs/{result.id}/void/", {"reason": "x"}).status_code)

    number = 1
    while failing_at(number, void):
        assert answers[-1] == 503
        voided = UsageLog.objects.exclude(voided_at=None).exists()  # it failed at its answer, after the commit
        assert voided or state() == before
        assert_equal()
        number += 1

    assert (answers[-1], UsageAdjustment.objects.count(), CorrectionBatch.objects.count()) == (200, 1, 1)
    assert number >= 9 + CORRECTED
    assert_equal()


def test_a_commit_that_fails_voids_nothing(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = record(CALL)
    service.get("usage/logs/")  # the key's last use is noted
    before = state()

    def fail() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        answer = service.post(f"usage/logs/{result.id}/void/", {"reason": "x"})

    assert (answer.status_code, state()) == (503, before)
    assert_equal()


def reprice() -> None:
    batch = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
    list(repricing.go_on(batch, size=10, at=NOW))


def revert() -> None:
    batch = CorrectionBatch.objects.get(kind="reprice")
    list(repricing.revert(batch, actor="ann", size=10, at=NOW))


@pytest.mark.parametrize("work", [reprice, revert])
def test_a_run_that_fails_at_any_query_is_run_again_as_if_it_never_was(work: Callable[[], None]) -> None:
    record(*({**CALL, "event_id": f"e{n}"} for n in range(3)))
    set_price(NEW, input_tokens="5")
    if work is revert:
        reprice()
    number = 1
    while failing_at(number, work):
        assert_equal()
        number += 1

    assert number >= 9 + CORRECTED
    made = UsageAdjustment.objects.values_list("kind", flat=True)
    assert sorted(made) == ["reprice"] * 3 + ["revert"] * (3 if work is revert else 0)
    assert CorrectionBatch.objects.filter(finished_at=None).count() == 0
    worth = 0 if work is revert else 5_000_000
    assert set(UsageLog.objects.values_list("effective_nano", flat=True)) == {worth}
    assert_equal()
