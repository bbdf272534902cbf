"""Corrections of one log by several at once, and beside writers: each counts once, and the ledger stays equal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import connection

from billing.corrections import apply_corrections, corrections, repricing
from billing.corrections.repricing import Choice
from billing.ledger import closed_periods
from billing.models import Account, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import NOW, assert_equal, record, run, set_price

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "brand-new-1"
CALL = {"model": NEW, "cost_usd": None, "usage": {"input_tokens": 1000}}


def at_once(works: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Run each in a thread of its own, together; the errors."""
    errors: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def body(work: Callable[[], object]) -> None:
        try:
            ready.wait()
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_four_voids_of_one_log_void_it_once() -> None:
    record({})
    log = UsageLog.objects.get()

    assert at_once([lambda: corrections.void(log, reason="x", actor="ann", at=NOW)] * 4) == []
    assert UsageAdjustment.objects.count() == 1
    assert UsageLog.objects.get().effective_nano == 0
    assert_equal()


def test_re_pricings_of_the_same_logs_change_each_once() -> None:
    record(*({**CALL, "event_id": f"e{n}", "account": f"a{n % 3}"} for n in range(60)))
    set_price(NEW, input_tokens="5")

    def reprice() -> None:
        batch = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
        with contextlib.suppress(
            apply_corrections.BatchClosed
        ):  # another thread finished the batch that both went on with
            list(repricing.go_on(batch, size=7, at=NOW))

    assert at_once([reprice] * 3) == []
    assert set(UsageLog.objects.values_list("effective_nano", "is_priced")) == {(5_000_000, True)}
    assert UsageAdjustment.objects.count() == 60
    assert_equal()


def test_reverts_of_one_adjustment_undo_it_once() -> None:
    record({})
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOW)
    one = UsageAdjustment.objects.get()
    errors = at_once([lambda: corrections.revert_one(one, reason="x", actor="ann", at=NOW)] * 3)

    assert [type(error) for error in errors] == [corrections.NotReverted] * 2
    assert (UsageLog.objects.get().effective_nano, UsageAdjustment.objects.count()) == (10**9, 2)
    assert_equal()


def test_writers_voids_re_pricings_names_and_a_closing_together() -> None:
    record(*({**CALL, "event_id": f"e{n}", "account": f"a{n % 2}"} for n in range(40)))
    UsageLog.objects.update(actual_provider_name="elsewhere", confidence="weak")
    run("rebuild_rollups")
    set_price(NEW, input_tokens="5")
    logs = list(UsageLog.objects.all())
    one = Account.objects.order_by("pk")[0]

    def write() -> None:
        for turn in range(20):
            record({**CALL, "event_id": f"new{turn}", "account": f"a{turn % 2}"})

    def void() -> None:
        for log in logs[::3]:
            corrections.void(log, reason="x", actor="ann", at=NOW)

    works = [
        write,
        void,
        lambda: run("reprice", "--provider", "openai", "--batch-size", "5"),
        lambda: run("backfill_actual_providers", "--redetect", "--batch-size", "5"),
        lambda: closed_periods.close(one, logs[0].usage_period, NOW),
    ]
    assert at_once(works) == []
    assert UsageLog.objects.count() == 60
    assert UsageLog.objects.exclude(voided_at=None).count() == 14
    assert_equal()
