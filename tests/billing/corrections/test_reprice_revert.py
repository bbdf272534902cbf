"""Reverting re-pricings: a whole batch or one log, last first; what cannot be reverted is skipped and counted."""

from __future__ import annotations

import pytest
from django.test import Client

from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run, set_price
from tests.billing.repricing_calls import MIXED_CALLS, NEW_MODEL, batch_in_output, charges_by_event, record_then_price

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", ["1", "2", "1000"])
def test_a_whole_batch_is_reverted(size: str) -> None:
    record_then_price()
    before = charges_by_event(), rollups()
    batch = batch_in_output(run("reprice"))
    result = run("reprice", "--revert", str(batch.id), "--batch-size", size)

    assert (result.status, result.lines) == (
        0,
        [
            "a: 2 calls, 0.007002 -> 0 USD, 2 unpriced",
            "b: 1 calls, 0.007 -> 0 USD, 1 unpriced",
            f"3 logs examined, 3 reverted: 0.014002 -> 0 USD, 3 unpriced, 0 skipped. Batch {batch.id}.",
        ],
    )
    assert (charges_by_event(), rollups()) == before
    revert_batch = CorrectionBatch.objects.get(kind="revert")
    batch.refresh_from_db()
    assert (revert_batch.logs, revert_batch.delta_nano) == (3, -14_002_000)
    assert (revert_batch.choice, revert_batch.reason) == ({"batch": str(batch.id)}, "Revert: priced again")
    assert batch.reverted_at == revert_batch.finished_at is not None
    reverted = dict(UsageAdjustment.objects.filter(kind="reprice").values_list("id", "reverted_by"))
    reverts = {revert.details["reverts"]: revert.id for revert in UsageAdjustment.objects.filter(kind="revert")}
    assert {str(id_): revert_id for id_, revert_id in reverted.items()} == reverts
    adjustment = UsageAdjustment.objects.get(kind="revert", log__event_id="e0")
    assert adjustment.details == {
        "reverts": adjustment.details["reverts"],
        "kind": "reprice",
        "priced": False,
        "unpriced_reason": "price_unknown",
        "usage_state": "complete",
        "before": {"nano": 7_000_000, "priced": True, "unpriced_reason": None, "usage_state": "complete"},
    }
    assert_ledger_consistent()


def test_a_stopped_revert_continues_and_a_second_revert_does_nothing() -> None:
    record_then_price()
    before = charges_by_event(), rollups()
    batch = batch_in_output(run("reprice"))
    steps = repricing.revert(batch, actor="ann", size=1, clock=lambda: NOON)
    next(steps)
    assert_ledger_consistent()
    run("reprice", "--revert", str(batch.id))

    assert (charges_by_event(), rollups()) == before
    assert CorrectionBatch.objects.get(kind="revert").logs == 3
    second_revert = run("reprice", "--revert", str(batch.id))
    assert second_revert.lines == [f"0 logs examined, 0 reverted: 0 -> 0 USD, 0 unpriced, 0 skipped. Batch {batch.id}."]
    assert UsageAdjustment.objects.count() == 6


def test_a_reverted_unfinished_batch_accepts_no_more_corrections() -> None:
    record_then_price()
    before = charges_by_event()
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    steps = repricing.run(batch, size=1, clock=lambda: NOON)
    next(steps)
    list(repricing.revert(CorrectionBatch.objects.get(), actor="ann", size=10, clock=lambda: NOON))

    with pytest.raises(repricing.BatchClosed):
        list(steps)
    assert charges_by_event() == before
    assert_ledger_consistent()


def test_only_the_last_repricing_of_a_log_is_reverted_and_others_are_skipped() -> None:
    record(MIXED_CALLS[0], MIXED_CALLS[1], MIXED_CALLS[6])
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    first = batch_in_output(run("reprice"))
    set_price(NEW_MODEL, input_tokens="3", output_tokens="10")
    second = batch_in_output(run("reprice", "--account", "a"))
    corrections.void(UsageLog.objects.get(event_id="e2"), reason="x", actor="ann", at=NOON)
    assert charges_by_event() == {"e0": (8_000_000, True), "e1": (3_000, True), "e2": (0, True)}

    result = run("reprice", "--revert", str(first.id))
    assert result.lines[-1].startswith("3 logs examined, 0 reverted: 0 -> 0 USD, 0 unpriced, 3 skipped.")
    assert CorrectionBatch.objects.get(kind="revert").skipped == 3
    run("reprice", "--revert", str(second.id))
    assert charges_by_event() == {"e0": (7_000_000, True), "e1": (2_000, True), "e2": (0, True)}
    assert_ledger_consistent()


def test_single_repricings_are_reverted_last_first() -> None:
    record(MIXED_CALLS[0])
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    run("reprice")
    set_price(NEW_MODEL, input_tokens="3", output_tokens="10")
    run("reprice", "--account", "a")
    first, second = UsageAdjustment.objects.order_by("id")

    with pytest.raises(corrections.NotReverted, match="a later correction of the same kind exists"):
        corrections.revert_adjustment(first, reason="x", actor="ann", at=NOON)
    corrections.revert_adjustment(second, reason="x", actor="ann", at=NOON)
    assert charges_by_event() == {"e0": (7_000_000, True)}
    corrections.revert_adjustment(first, reason="x", actor="ann", at=NOON)
    assert charges_by_event() == {"e0": (0, False)}
    assert_ledger_consistent()


def test_a_repricing_of_a_voided_call_is_reverted_after_the_void() -> None:
    record(MIXED_CALLS[0])
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    run("reprice")
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    repricing_, void = UsageAdjustment.objects.order_by("id")

    with pytest.raises(corrections.NotReverted, match="the call is voided; revert the void first"):
        corrections.revert_adjustment(repricing_, reason="x", actor="ann", at=NOON)
    corrections.revert_adjustment(void, reason="x", actor="ann", at=NOON)
    assert charges_by_event() == {"e0": (7_000_000, True)}
    corrections.revert_adjustment(repricing_, reason="x", actor="ann", at=NOON)
    assert charges_by_event() == {"e0": (0, False)}
    assert_ledger_consistent()


def test_a_revert_cannot_be_reverted() -> None:
    record_then_price()
    batch = batch_in_output(run("reprice"))
    run("reprice", "--revert", str(batch.id))
    revert_batch = CorrectionBatch.objects.get(kind="revert")

    assert run("reprice", "--revert", str(revert_batch.id))[::2] == (
        2,
        "A revert cannot be reverted; correct the calls again instead.",
    )


def test_a_revert_beside_a_void_stays_open_and_is_completed_after_the_void_is_reverted(admin_client: Client) -> None:
    record_then_price()
    before = charges_by_event()
    batch = batch_in_output(run("reprice"))
    corrections.void(UsageLog.objects.get(event_id="e0"), reason="x", actor="ann", at=NOON)
    result = run("reprice", "--revert", str(batch.id))
    batch.refresh_from_db()
    first = CorrectionBatch.objects.get(kind="revert")

    assert (result.status, result.lines[-2:]) == (
        1,
        [
            "1 skipped: the call is voided; revert the void first",
            (
                f"3 logs examined, 2 reverted: 0.007002 -> 0 USD, 2 unpriced, 1 skipped. Batch {batch.id}."
                " 1 of them are still open: run the command again when the reason is gone."
            ),
        ],
    )
    assert (batch.reverted_at, first.logs, first.delta_nano, first.skipped) == (None, 2, -7_002_000, 1)
    assert first.skips == {"the call is voided; revert the void first": 1}
    page = admin_client.get(f"/admin/billing/correctionbatch/{batch.pk}/change/").content.decode()
    assert "The revert left some corrections in force. Revert the batch again when the reason is gone." in page
    assert "<li>1 skipped: the call is voided; revert the void first</li>" in page
    assert "by reprice</a>, not completely" in page
    assert "Yes, revert" in page
    assert_ledger_consistent()

    assert run("reprice", "--revert", str(batch.id)).status == 1  # nothing has changed
    corrections.revert_adjustment(UsageAdjustment.objects.get(kind="void"), reason="x", actor="ann", at=NOON)
    response = admin_client.post(f"/admin/billing/correctionbatch/{batch.pk}/revert/", {"confirm": "on"}, follow=True)
    page = response.content.decode()
    batch.refresh_from_db()
    assert ("Done." in page, "left some corrections" in page, "not completely" in page) == (True, False, False)
    assert (charges_by_event(), batch.reverted_at is None) == (before, False)
    reverts = CorrectionBatch.objects.filter(kind="revert").exclude(choice__has_key="adjustment")
    assert sorted(reverts.values_list("logs", "delta_nano")) == [(0, 0), (1, -7_000_000), (2, -7_002_000)]
    assert not UsageAdjustment.objects.filter(kind="reprice", reverted_by=None).exists()
    assert_ledger_consistent()


def test_a_revert_is_complete_where_the_rest_can_never_be_reverted() -> None:
    record_then_price()
    batch = batch_in_output(run("reprice"))
    UsageLog.objects.filter(event_id="e0")._raw_delete("default")  # as the archive does
    result = run("reprice", "--revert", str(batch.id))
    batch.refresh_from_db()
    assert (result.status, "1 skipped: its period is archived" in result.lines) == (0, True)
    assert batch.reverted_at is not None


def test_a_stopped_revert_of_several_skips_counts_each_call_once() -> None:
    record_then_price()
    batch = batch_in_output(run("reprice"))
    for event in ("e0", "e6"):
        corrections.void(UsageLog.objects.get(event_id=event), reason="x", actor="ann", at=NOON)
    next(iter(repricing.revert(batch, actor="ann", size=1, clock=lambda: NOON)))
    run("reprice", "--revert", str(batch.id), "--batch-size", "1")
    revert = CorrectionBatch.objects.get(kind="revert")
    assert (revert.logs, revert.skipped, revert.finished_at is None) == (1, 2, False)
    assert_ledger_consistent()
