"""Concurrent corrections, also beside writers: each counts once, and the ledger stays consistent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from django.db import connection

from billing.corrections import apply_corrections, corrections, repricing, resolution
from billing.corrections.repricing import RepricingChoice
from billing.errors import Refused
from billing.events.events import Usage
from billing.ledger import closed_periods
from billing.models import Account, UsageAdjustment, UsageLog
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, run, set_price

pytestmark = pytest.mark.django_db(transaction=True)

NEW_MODEL = "brand-new-1"
CLOSED_AT = datetime(2026, 12, 4, 1, 0, tzinfo=UTC)  # the first moment at which November may be closed
UNPRICED_CALL = {"model": NEW_MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}}


def run_concurrently(tasks: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Runs each task in its own thread, all at the same time. Returns their errors."""
    errors: list[BaseException] = []
    ready = threading.Barrier(len(tasks))

    def run_task(task: Callable[[], object]) -> None:
        try:
            ready.wait()
            task()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run_task, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_concurrent_voids_of_one_log_void_it_once() -> None:
    record({})
    log = UsageLog.objects.get()

    assert run_concurrently([lambda: corrections.void(log, reason="x", actor="ann", at=NOON)] * 4) == []
    assert UsageAdjustment.objects.count() == 1
    assert UsageLog.objects.get().effective_nano == 0
    assert_ledger_consistent()


def test_concurrent_resolutions_with_two_contents_leave_one() -> None:
    record_with_state({"cost_usd": "5"}, state="unknown")
    log, refusals = UsageLog.objects.get(), list[str]()

    def resolve(cost_usd: str) -> None:
        try:
            resolution.resolve(log, usage=None, cost_usd=cost_usd, reason="x", actor="ann", at=NOON)
        except Refused as refused:
            refusals.append(refused.code)

    assert (
        run_concurrently([lambda: resolve("1"), lambda: resolve("1"), lambda: resolve("2"), lambda: resolve("2")]) == []
    )
    assert refusals == ["already_resolved"] * 2
    adjustment, log = UsageAdjustment.objects.get(), UsageLog.objects.get()
    assert log.resolved is not None
    assert log.effective_nano == int(log.resolved["cost_usd"]) * 10**9 == adjustment.delta_nano + 5 * 10**9
    assert_ledger_consistent()


def test_a_void_and_a_resolution_at_the_same_time_agree() -> None:
    record_with_state({"cost_usd": "5"}, state="unknown")
    log = UsageLog.objects.get()

    def resolve() -> None:
        with contextlib.suppress(Refused):  # the void was first
            resolution.resolve(log, usage=Usage(input_tokens=7), cost_usd=None, reason="x", actor="ann", at=NOON)

    assert run_concurrently([resolve, lambda: corrections.void(log, reason="x", actor="ann", at=NOON)]) == []
    log = UsageLog.objects.get()
    assert (log.effective_nano, log.voided_at) == (0, NOON)
    assert_ledger_consistent()


def test_concurrent_repricings_change_each_log_once() -> None:
    record(*({**UNPRICED_CALL, "event_id": f"e{n}", "account": f"a{n % 3}"} for n in range(60)))
    set_price(NEW_MODEL, input_tokens="5")

    def reprice() -> None:
        batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
        with contextlib.suppress(apply_corrections.BatchClosed):  # another thread finished the batch
            list(repricing.run(batch, size=7, clock=lambda: NOON))

    assert run_concurrently([reprice] * 3) == []
    assert set(UsageLog.objects.values_list("effective_nano", "is_priced")) == {(5_000_000, True)}
    assert UsageAdjustment.objects.count() == 60
    assert_ledger_consistent()


def test_concurrent_reverts_of_one_adjustment_revert_it_once() -> None:
    record({})
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    adjustment = UsageAdjustment.objects.get()
    errors = run_concurrently([lambda: corrections.revert_adjustment(adjustment, reason="x", actor="ann", at=NOON)] * 3)

    assert [type(error) for error in errors] == [corrections.NotReverted] * 2
    assert (UsageLog.objects.get().effective_nano, UsageAdjustment.objects.count()) == (10**9, 2)
    assert_ledger_consistent()


def test_concurrent_writers_and_corrections_and_a_closing_keep_the_ledger_consistent() -> None:
    record(*({**UNPRICED_CALL, "event_id": f"e{n}", "account": f"a{n % 2}"} for n in range(40)))
    UsageLog.objects.update(actual_provider_name="elsewhere", confidence="weak", checksum=None)
    run("rebuild_rollups")
    set_price(NEW_MODEL, input_tokens="5")
    logs = list(UsageLog.objects.all())
    account = Account.objects.order_by("pk")[0]

    def write() -> None:
        for number in range(20):
            record({**UNPRICED_CALL, "event_id": f"new{number}", "account": f"a{number % 2}"}, at=CLOSED_AT)

    def void() -> None:
        for log in logs[::3]:
            corrections.void(log, reason="x", actor="ann", at=CLOSED_AT)

    tasks = [
        write,
        void,
        lambda: run("reprice", "--provider", "openai", "--batch-size", "5"),
        lambda: run("backfill_actual_providers", "--redetect", "--batch-size", "5"),
        lambda: closed_periods.close(account, logs[0].usage_period, CLOSED_AT),
    ]
    assert run_concurrently(tasks) == []
    assert UsageLog.objects.count() == 60
    assert UsageLog.objects.exclude(voided_at=None).count() == 14
    assert_ledger_consistent(without=("statements",))  # the closing makes none here
