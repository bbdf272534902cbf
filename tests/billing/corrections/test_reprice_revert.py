"""Taking a re-pricing back: a whole run or one log, last first; what cannot be undone is counted with its reason."""

from __future__ import annotations

import pytest

from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, run, set_price
from tests.billing.repriced import CALLS, NEW, batch_of, priced, worths

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", ["1", "2", "1000"])
def test_a_whole_run_is_taken_back(size: str) -> None:
    priced()
    before = worths(), rollups()
    batch = batch_of(run("reprice"))
    end = run("reprice", "--revert", str(batch.id), "--batch-size", size)

    assert (end.status, end.lines) == (
        0,
        [
            "a: 2 calls, 0.007002 -> 0 USD, 2 without a price",
            "b: 1 calls, 0.007 -> 0 USD, 1 without a price",
            f"3 logs looked at, 3 taken back: 0.014002 -> 0 USD, 3 without a price, 0 skipped. Batch {batch.id}.",
        ],
    )
    assert (worths(), rollups()) == before
    undo = CorrectionBatch.objects.get(kind="revert")
    batch.refresh_from_db()
    assert (undo.logs, undo.delta_nano, undo.choice, undo.reason) == (
        *(3, -14_002_000),
        *({"batch": str(batch.id)}, "Revert: priced again"),
    )
    assert batch.reverted_at == undo.finished_at is not None
    reverted = dict(UsageAdjustment.objects.filter(kind="reprice").values_list("id", "reverted_by"))
    made = {one.details["reverts"]: one for one in UsageAdjustment.objects.filter(kind="revert")}
    assert {str(id_): by for id_, by in reverted.items()} == {id_: one.id for id_, one in made.items()}
    one = UsageAdjustment.objects.get(kind="revert", log__event_id="e0")
    assert one.details == {
        "reverts": one.details["reverts"],
        "kind": "reprice",
        "priced": False,
        "before": {"nano": 7_000_000, "priced": True},
    }
    assert_equal()


def test_a_revert_that_was_stopped_goes_on_and_a_second_one_does_nothing() -> None:
    priced()
    before = worths(), rollups()
    batch = batch_of(run("reprice"))
    steps = repricing.revert(batch, actor="ann", size=1, at=NOW)
    next(steps)
    assert_equal()
    run("reprice", "--revert", str(batch.id))

    assert (worths(), rollups()) == before
    assert CorrectionBatch.objects.get(kind="revert").logs == 3
    again = run("reprice", "--revert", str(batch.id))
    assert again.lines == [
        f"0 logs looked at, 0 taken back: 0 -> 0 USD, 0 without a price, 0 skipped. Batch {batch.id}."
    ]
    assert UsageAdjustment.objects.count() == 6


def test_an_unfinished_run_is_taken_back_and_gets_no_more() -> None:
    priced()
    before = worths()
    batch = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
    steps = repricing.go_on(batch, size=1, at=NOW)
    next(steps)
    list(repricing.revert(CorrectionBatch.objects.get(), actor="ann", size=10, at=NOW))

    with pytest.raises(repricing.BatchClosed):
        list(steps)
    assert worths() == before
    assert_equal()


def test_only_the_last_re_pricing_of_a_log_is_taken_back_and_others_are_counted() -> None:
    record(CALLS[0], CALLS[1], CALLS[6])
    set_price(NEW, input_tokens="2", output_tokens="10")
    first = batch_of(run("reprice"))
    set_price(NEW, input_tokens="3", output_tokens="10")
    second = batch_of(run("reprice", "--account", "a"))
    corrections.void(UsageLog.objects.get(event_id="e2"), reason="x", actor="ann", at=NOW)
    assert worths() == {"e0": (8_000_000, True), "e1": (3_000, True), "e2": (0, True)}

    end = run("reprice", "--revert", str(first.id))
    assert end.lines[-1].startswith("3 logs looked at, 0 taken back: 0 -> 0 USD, 0 without a price, 3 skipped.")
    assert CorrectionBatch.objects.get(kind="revert").skipped == 3
    run("reprice", "--revert", str(second.id))
    assert worths() == {"e0": (7_000_000, True), "e1": (2_000, True), "e2": (0, True)}
    assert_equal()


def test_one_re_pricing_is_reverted_by_itself_last_first() -> None:
    record(CALLS[0])
    set_price(NEW, input_tokens="2", output_tokens="10")
    run("reprice")
    set_price(NEW, input_tokens="3", output_tokens="10")
    run("reprice", "--account", "a")
    first, second = UsageAdjustment.objects.order_by("id")

    with pytest.raises(corrections.NotReverted, match="not the last of its sort"):
        corrections.revert_one(first, reason="x", actor="ann", at=NOW)
    corrections.revert_one(second, reason="x", actor="ann", at=NOW)
    assert worths() == {"e0": (7_000_000, True)}
    corrections.revert_one(first, reason="x", actor="ann", at=NOW)
    assert worths() == {"e0": (0, False)}
    assert_equal()


def test_a_re_pricing_under_a_void_is_reverted_after_the_void() -> None:
    record(CALLS[0])
    set_price(NEW, input_tokens="2", output_tokens="10")
    run("reprice")
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOW)
    priced_, voided = UsageAdjustment.objects.order_by("id")

    with pytest.raises(corrections.NotReverted, match="of a voided call"):
        corrections.revert_one(priced_, reason="x", actor="ann", at=NOW)
    corrections.revert_one(voided, reason="x", actor="ann", at=NOW)
    assert worths() == {"e0": (7_000_000, True)}
    corrections.revert_one(priced_, reason="x", actor="ann", at=NOW)
    assert worths() == {"e0": (0, False)}
    assert_equal()


def test_a_revert_is_not_reverted() -> None:
    priced()
    batch = batch_of(run("reprice"))
    run("reprice", "--revert", str(batch.id))
    undo = CorrectionBatch.objects.get(kind="revert")

    assert run("reprice", "--revert", str(undo.id))[::2] == (2, "A revert is not reverted: correct again instead.")
