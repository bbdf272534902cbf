"""`reprice` rates recorded calls at current prices and records adjustments. It can be previewed and resumed."""

from __future__ import annotations

import os
import random
import signal
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from billing.corrections import apply_corrections, corrections, repricing
from billing.corrections.repricing import CostChange, RepricingChoice
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageDay, UsageLog, UsageModel
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, clear_detection, record, rollups, run, set_price
from tests.billing.repricing_calls import MIXED_CALLS, NEW_MODEL, batch_in_output, charges_by_event, record_then_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def stored_state() -> tuple[Any, ...]:
    return (charges_by_event(), rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count())


ACCOUNT_LINES = ["a: 2 calls, 0 -> 0.007002 USD, 0 unpriced", "b: 1 calls, 0 -> 0.007 USD, 2 unpriced"]


def test_unpriced_calls_get_a_price_added_later() -> None:
    record_then_price()
    result = run("reprice", "--reason", "price came late")

    batch = batch_in_output(result)
    last_line = f"5 logs examined, 3 re-priced: 0 -> 0.014002 USD, 2 unpriced, 0 skipped. Batch {batch.id}."
    assert (result.status, result.lines) == (0, [*ACCOUNT_LINES, last_line])
    assert charges_by_event() == {
        "e0": (7_000_000, True),
        "e1": (2_000, True),
        "e2": (3 * 10**9, True),
        "e3": (0, True),
        "e4": (7_500_000, True),
        "e5": (0, False),
        "e6": (7_000_000, True),
        "e7": (0, False),
    }
    assert (batch.kind, batch.reason, batch.actor) == ("reprice", "price came late", "reprice")
    assert (batch.logs, batch.skipped, batch.delta_nano) == (3, 0, 14_002_000)
    assert batch.finished_at is not None
    assert_ledger_consistent()


def test_an_adjustment_records_the_new_charge_and_the_one_before() -> None:
    record(MIXED_CALLS[0])
    price = set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    run("reprice")

    (adjustment,) = UsageAdjustment.objects.all()
    assert (adjustment.kind, adjustment.delta_nano) == ("reprice", 7_000_000)
    assert (adjustment.actor, adjustment.reason) == ("reprice", "priced again")
    assert (adjustment.reverted_by, adjustment.late_at) == (None, None)
    assert (adjustment.period, adjustment.corrects_period) == (date(2026, 11, 1), date(2026, 11, 1))
    assert adjustment.details == {
        "price": price.pk,
        "source": "price_book",
        "input": 2_000_000,
        "output": 5_000_000,
        "other": 0,
        "unpriced_reason": None,
        "usage_state": "complete",
        "before": {"nano": 0, "priced": False, "unpriced_reason": "price_unknown", "usage_state": "complete"},
    }
    log = UsageLog.objects.get()
    assert (log.cost_total, log.cost_source, log.price_id) == (0, "unpriced", None)


def test_a_zero_price_makes_a_call_free_and_a_raised_price_raises_its_charge() -> None:
    record(MIXED_CALLS[0])
    set_price(NEW_MODEL, input_tokens="0", output_tokens="0")
    run("reprice")
    assert (charges_by_event(), UsageAdjustment.objects.get().details["source"]) == ({"e0": (0, True)}, "free")

    set_price(NEW_MODEL, input_tokens="4", output_tokens="20")
    run("reprice", "--model", NEW_MODEL)
    assert charges_by_event() == {"e0": (14_000_000, True)}
    assert [adjustment.details["before"] for adjustment in UsageAdjustment.objects.order_by("id")] == [
        {"nano": 0, "priced": False, "unpriced_reason": "price_unknown", "usage_state": "complete"},
        {"nano": 0, "priced": True, "unpriced_reason": None, "usage_state": "complete"},
    ]
    assert_ledger_consistent()


def test_a_call_with_a_zero_price_is_repriced() -> None:
    set_price(NEW_MODEL, input_tokens="0", output_tokens="0")
    record(MIXED_CALLS[0])
    assert UsageLog.objects.get().cost_source == "free"
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    run("reprice", "--provider", "openai")

    assert charges_by_event() == {"e0": (7_000_000, True)}
    assert_ledger_consistent()


def test_a_call_that_lost_its_price_becomes_unpriced() -> None:
    set_price(NEW_MODEL, input_tokens="2")
    record(MIXED_CALLS[0])
    set_price(NEW_MODEL, seconds="2")
    result = run("reprice", "--model", NEW_MODEL)

    assert result.lines[0] == "a: 1 calls, 0.002 -> 0 USD, 1 unpriced"
    assert charges_by_event() == {"e0": (0, False)}
    assert UsageAdjustment.objects.get().details["source"] == "unpriced"
    assert_ledger_consistent()


def test_a_dry_run_reports_the_same_and_changes_nothing() -> None:
    record_then_price()
    before = stored_state()
    result = run("reprice", "--dry-run")

    last_line = "5 logs examined, 3 would be re-priced: 0 -> 0.014002 USD, 2 unpriced."
    assert (result.status, result.lines, stored_state()) == (0, [*ACCOUNT_LINES, last_line], before)


@pytest.mark.parametrize("size", ["1", "2", "1000"])
def test_a_second_run_has_nothing_to_reprice(size: str) -> None:
    record_then_price()
    run("reprice", "--batch-size", size)
    before = charges_by_event(), rollups(), UsageAdjustment.objects.count()
    result = run("reprice", "--batch-size", size)

    assert result.lines[-1].startswith("2 logs examined, 0 re-priced: 0 -> 0 USD, 2 unpriced, 0 skipped.")
    assert (charges_by_event(), rollups(), UsageAdjustment.objects.count()) == before


def test_every_endpoint_agrees_after_a_repricing(service: Api) -> None:
    record_then_price()
    run("reprice")

    log = UsageLog.objects.get(event_id="e0")
    detail = service.get(f"usage/logs/{log.id}/").json()
    list_row = service.get("usage/logs/", account="a", q="e0").json()["results"][0]
    csv_row = service.get("usage/logs/", account="a", format="csv", q="e0").getvalue().decode().splitlines()[1]
    summary = service.get("usage/summary/", account="a", period="2026-11").json()
    total = UsageModel.objects.get(account__external_id="a", model=NEW_MODEL, actual="openai")
    assert {name: detail[name] for name in list_row} == list_row
    assert (detail["cost_usd"], detail["original_cost_usd"], detail["priced"]) == ("0.007", None, True)
    assert [(entry["kind"], entry["delta_usd"]) for entry in detail["adjustments"]] == [("reprice", "0.007")]
    assert ",0.007,,price_book,true,false," in csv_row
    assert (summary["total_cost_usd"], summary["unpriced_calls"]) == ("3.014502", 0)
    assert (total.cost_nano, total.unpriced_calls, total.calls) == (3_007_002_000, 0, 4)
    assert service.get("usage/summary/", period="2026-11").json()["total_cost_usd"] == "3.021502"


SELECTIONS = [
    (("--account", "b"), ["e6"]),
    (("--model", NEW_MODEL.upper(), "--account", "a"), ["e0", "e1"]),
    (("--provider", "openai", "--unpriced"), ["e0", "e1", "e6"]),
    (("--provider", "anthropic"), []),
    (("--since", "2026-11-22T12:00Z"), ["e0", "e1", "e6"]),
    (("--since", "2026-11-22T12:00:01Z"), []),
    (("--until", "2026-11-22T12:00:00Z"), []),
]


@pytest.mark.parametrize(("options", "changed"), SELECTIONS)
def test_options_select_the_logs(options: tuple[str, ...], changed: list[str]) -> None:
    record_then_price()
    run("reprice", *options)

    assert sorted(UsageAdjustment.objects.values_list("log__event_id", flat=True)) == changed
    assert_ledger_consistent()


def test_voided_calls_and_calls_without_a_provider_are_skipped_and_counted() -> None:
    record_then_price()
    corrections.void(UsageLog.objects.get(event_id="e0"), reason="x", actor="ann", at=NOON)
    clear_detection(event_id="e6")
    result = run("reprice")

    assert result.lines[-1].startswith("5 logs examined, 1 re-priced: 0 -> 0.000002 USD, 2 unpriced, 2 skipped.")
    assert batch_in_output(result).skipped == 2
    assert (charges_by_event()["e0"], charges_by_event()["e6"]) == ((0, False), (0, False))
    assert_ledger_consistent()


def test_a_stopped_run_continues_in_the_same_batch() -> None:
    record_then_price()
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    steps = repricing.run(batch, size=1, clock=lambda: NOON)
    next(steps)
    assert_ledger_consistent()
    result = run("reprice", "--batch-size", "1")

    assert batch_in_output(result) == batch
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, CorrectionBatch.objects.count()) == (3, 14_002_000, 1)
    assert {adjustment.batch for adjustment in UsageAdjustment.objects.all()} == {batch.id}
    assert batch_in_output(run("reprice")) != batch


def test_sigterm_stops_a_run_that_the_next_one_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    record_then_price()
    apply = apply_corrections.apply

    def stop_then_apply(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return apply(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(apply_corrections, "apply", stop_then_apply)
        result = run("reprice", "--batch-size", "2")
    assert result.status == 1
    assert result.lines[-1].endswith("Stopped before the end: run the command again to continue.")
    assert UsageAdjustment.objects.count() == 2
    assert_ledger_consistent()

    second = run("reprice")
    assert (batch_in_output(second), second.status) == (batch_in_output(result), 0)
    assert UsageAdjustment.objects.count() == 3


def test_the_selection_is_stored_with_the_batch() -> None:
    record_then_price()
    choice = RepricingChoice(unpriced=True, account=Account.objects.get(external_id="b"), since=NOON)
    assert RepricingChoice.from_json(choice.as_json()) == choice
    run("reprice", "--unpriced", "--account", "b", "--since", "2026-11-22T12:00Z")
    assert (CorrectionBatch.objects.get().choice, charges_by_event()["e0"]) == (choice.as_json(), (0, False))


def test_another_selection_is_another_batch() -> None:
    first = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    assert repricing.start(RepricingChoice(unpriced=True), reason="y", actor="bob", at=NOON) == first
    assert repricing.start(RepricingChoice(unpriced=True, model="m"), reason="x", actor="ann", at=NOON) != first
    assert repricing.start(RepricingChoice(since=NOON), reason="x", actor="ann", at=NOON) != first


def test_a_preview_examines_at_most_max_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    record_then_price()
    monkeypatch.setattr(repricing, "PREVIEW_PAGE_SIZE", 1)

    partial = repricing.preview(RepricingChoice(unpriced=True), max_logs=3)
    assert (partial.examined, partial.complete) == (3, False)
    complete = repricing.preview(RepricingChoice(unpriced=True), max_logs=5)
    assert (complete.examined, complete.complete) == (5, True)
    assert complete.changes == (
        CostChange("a", calls=2, old_nano=0, new_nano=7_002_000, priced=2, unpriced=0),
        CostChange("b", calls=1, old_nano=0, new_nano=7_000_000, priced=1, unpriced=2),
    )


def test_each_repriced_charge_is_the_exact_sum_rounded_once() -> None:
    generator = random.Random(20261122)
    usages = [
        {
            "input_tokens": generator.randrange(10**6),
            "output_tokens": generator.randrange(10**5),
            "images": generator.randrange(9),
        }
        for _ in range(300)
    ]
    record(*({"model": NEW_MODEL, "cost_usd": None, "category": "text", "usage": usage} for usage in usages))
    set_price(NEW_MODEL, input_tokens="0.1234567", output_tokens="1.0000005", images="39999.9999999")
    rates = {"input_tokens": "0.1234567", "output_tokens": "1.0000005", "images": "39999.9999999"}
    run("reprice", "--batch-size", "70")

    exact_costs = [sum(count * Fraction(rates[unit]) * 1000 for unit, count in usage.items()) for usage in usages]
    expected = [round(cost) for cost in exact_costs]  # a Fraction rounds half to even
    logs = UsageLog.objects.order_by("id").values_list("effective_nano", flat=True)
    assert list(logs) == expected
    assert UsageDay.objects.get().cost_nano == sum(expected) == CorrectionBatch.objects.get().delta_nano
    assert_ledger_consistent()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--account", "nobody"), "Account 'nobody' does not exist."),
        (("--since", "soon"), "--since: 'soon' is not a date or time such as 2026-11-01 or 2026-11-01T09:30Z."),
        (("--batch-size", "0"), "--batch-size must be 1 to 10000."),
        (("--reason", " "), "--reason must have 1 to 500 characters."),
        (("--revert", "x"), "Batch 'x' does not exist."),
        (
            ("--revert", "x", "--dry-run"),
            "--revert reverts a whole batch and can only be combined with --batch-size.",
        ),
    ],
)
def test_invalid_arguments_change_nothing(options: tuple[str, ...], message: str) -> None:
    record_then_price()
    before = stored_state()
    result = run("reprice", *options)

    assert (result.status, result.err, stored_state()) == (2, message, before)
