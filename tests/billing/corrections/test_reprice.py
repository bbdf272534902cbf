"""`reprice`: recorded calls rated again by today's prices, as adjustments; previewed, resumed, and taken back whole."""

from __future__ import annotations

import os
import random
import signal
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from billing.corrections import apply_corrections, corrections, repricing
from billing.corrections.repricing import Change, Choice
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageDay, UsageLog, UsageModel
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, run, set_price
from tests.billing.repriced import CALLS, NEW, batch_of, priced, worths
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def stored() -> tuple[Any, ...]:
    return (worths(), rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count())


TOLD = ["a: 2 calls, 0 -> 0.007002 USD, 0 without a price", "b: 1 calls, 0 -> 0.007 USD, 2 without a price"]


def test_calls_without_a_price_get_the_one_that_is_known_now() -> None:
    priced()
    end = run("reprice", "--reason", "price came late")

    batch = batch_of(end)
    last = f"5 logs looked at, 3 re-priced: 0 -> 0.014002 USD, 2 without a price, 0 skipped. Batch {batch.id}."
    assert (end.status, end.lines) == (0, [*TOLD, last])
    assert worths() == {
        "e0": (7_000_000, True),
        "e1": (2_000, True),
        "e2": (3 * 10**9, True),
        "e3": (0, True),
        "e4": (7_500_000, True),
        "e5": (0, False),
        "e6": (7_000_000, True),
        "e7": (0, False),
    }
    assert (batch.kind, batch.reason, batch.actor, batch.logs, batch.skipped, batch.delta_nano) == (
        *("reprice", "price came late", "reprice"),
        *(3, 0, 14_002_000),
    )
    assert batch.finished_at is not None
    assert_equal()


def test_an_adjustment_says_what_the_new_price_makes_and_what_stood() -> None:
    record(CALLS[0])
    price = set_price(NEW, input_tokens="2", output_tokens="10")
    run("reprice")

    (one,) = UsageAdjustment.objects.all()
    assert (one.kind, one.delta_nano, one.actor, one.reason, one.reverted_by, one.late_at) == (
        *("reprice", 7_000_000, "reprice"),
        *("priced again", None, None),
    )
    assert (one.period, one.corrects_period) == (date(2026, 11, 1), date(2026, 11, 1))
    assert one.details == {
        "price": price.pk,
        "source": "price_book",
        "input": 2_000_000,
        "output": 5_000_000,
        "other": 0,
        "before": {"nano": 0, "priced": False},
    }
    log = UsageLog.objects.get()
    assert (log.cost_total, log.cost_source, log.price_id) == (0, "unpriced", None)


def test_a_price_of_zero_makes_free_and_a_price_that_went_up_makes_dearer() -> None:
    record(CALLS[0])
    set_price(NEW, input_tokens="0", output_tokens="0")
    run("reprice")
    assert (worths(), UsageAdjustment.objects.get().details["source"]) == ({"e0": (0, True)}, "free")

    set_price(NEW, input_tokens="4", output_tokens="20")
    run("reprice", "--model", NEW)
    assert worths() == {"e0": (14_000_000, True)}
    assert [one.details["before"] for one in UsageAdjustment.objects.order_by("id")] == [
        {"nano": 0, "priced": False},
        {"nano": 0, "priced": True},
    ]
    assert_equal()


def test_a_call_that_was_free_by_its_price_is_rated_again() -> None:
    set_price(NEW, input_tokens="0", output_tokens="0")
    record(CALLS[0])
    assert UsageLog.objects.get().cost_source == "free"
    set_price(NEW, input_tokens="2", output_tokens="10")
    run("reprice", "--provider", "openai")

    assert worths() == {"e0": (7_000_000, True)}
    assert_equal()


def test_without_a_price_any_more_a_call_is_unpriced_again_and_never_0() -> None:
    set_price(NEW, input_tokens="2")
    record(CALLS[0])
    set_price(NEW, seconds="2")
    end = run("reprice", "--model", NEW)

    assert end.lines[0] == "a: 1 calls, 0.002 -> 0 USD, 1 without a price"
    assert worths() == {"e0": (0, False)}
    assert UsageAdjustment.objects.get().details["source"] == "unpriced"
    assert_equal()


def test_a_dry_run_tells_the_same_and_changes_nothing() -> None:
    priced()
    before = stored()
    end = run("reprice", "--dry-run")

    last = "5 logs looked at, 3 would be re-priced: 0 -> 0.014002 USD, 2 without a price."
    assert (end.status, end.lines, stored()) == (0, [*TOLD, last], before)


@pytest.mark.parametrize("size", ["1", "2", "1000"])
def test_a_second_run_finds_nothing_to_do(size: str) -> None:
    priced()
    run("reprice", "--batch-size", size)
    before = worths(), rollups(), UsageAdjustment.objects.count()
    end = run("reprice", "--batch-size", size)

    assert end.lines[-1].startswith("2 logs looked at, 0 re-priced: 0 -> 0 USD, 2 without a price, 0 skipped.")
    assert (worths(), rollups(), UsageAdjustment.objects.count()) == before


def test_every_page_agrees_afterwards(service: Api) -> None:
    priced()
    run("reprice")

    one = UsageLog.objects.get(event_id="e0")
    row = service.get(f"usage/logs/{one.id}/").json()
    listed = service.get("usage/logs/", account="a", q="e0").json()["results"][0]
    cells = service.get("usage/logs/", account="a", format="csv", q="e0").getvalue().decode().splitlines()[1]
    summary = service.get("usage/summary/", account="a", period="2026-11").json()
    total = UsageModel.objects.get(account__external_id="a", model=NEW, actual="openai")
    assert {name: row[name] for name in listed} == listed
    assert (row["cost_usd"], row["original_cost_usd"], row["priced"]) == ("0.007", None, True)
    assert [(each["kind"], each["delta_usd"]) for each in row["adjustments"]] == [("reprice", "0.007")]
    assert ",0.007,,price_book,true,false," in cells
    assert (summary["total_cost_usd"], summary["unpriced_calls"]) == ("3.014502", 0)
    assert (total.cost_nano, total.unpriced_calls, total.calls) == (3_007_002_000, 0, 4)
    assert service.get("usage/summary/", period="2026-11").json()["total_cost_usd"] == "3.021502"


RANGES = [
    (("--account", "b"), ["e6"]),
    (("--model", NEW.upper(), "--account", "a"), ["e0", "e1"]),
    (("--provider", "openai", "--unpriced"), ["e0", "e1", "e6"]),
    (("--provider", "anthropic"), []),
    (("--since", "2026-11-22T12:00Z"), ["e0", "e1", "e6"]),
    (("--since", "2026-11-22T12:00:01Z"), []),
    (("--until", "2026-11-22T12:00:00Z"), []),
]


@pytest.mark.parametrize(("options", "changed"), RANGES)
def test_options_choose_the_logs(options: tuple[str, ...], changed: list[str]) -> None:
    priced()
    run("reprice", *options)

    assert sorted(UsageAdjustment.objects.values_list("log__event_id", flat=True)) == changed
    assert_equal()


def test_voided_calls_and_calls_without_a_provider_are_skipped_and_counted() -> None:
    priced()
    corrections.void(UsageLog.objects.get(event_id="e0"), reason="x", actor="ann", at=NOW)
    UsageLog.objects.filter(event_id="e6").update(actual_provider_name=None, confidence="")
    run("rebuild_rollups")
    end = run("reprice")

    assert end.lines[-1].startswith("5 logs looked at, 1 re-priced: 0 -> 0.000002 USD, 2 without a price, 2 skipped.")
    assert batch_of(end).skipped == 2
    assert (worths()["e0"], worths()["e6"]) == ((0, False), (0, False))
    assert_equal()


def test_a_run_that_was_stopped_goes_on_in_the_same_batch() -> None:
    priced()
    batch = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
    steps = repricing.go_on(batch, size=1, at=NOW)
    next(steps)
    assert_equal()
    end = run("reprice", "--batch-size", "1")

    assert batch_of(end) == batch
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, CorrectionBatch.objects.count()) == (3, 14_002_000, 1)
    assert {one.batch for one in UsageAdjustment.objects.all()} == {batch.id}
    assert batch_of(run("reprice")) != batch


def test_a_stop_between_two_batches_is_told_and_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    priced()
    correct = apply_corrections.apply

    def stopped(*arguments: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return correct(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(apply_corrections, "apply", stopped)
        end = run("reprice", "--batch-size", "2")
    assert (end.status, end.lines[-1].endswith("Stopped before the end: run it again to go on.")) == (1, True)
    assert UsageAdjustment.objects.count() == 2
    assert_equal()

    again = run("reprice")
    assert (batch_of(again), again.status) == (batch_of(end), 0)
    assert UsageAdjustment.objects.count() == 3


def test_a_batch_of_one_account_stays_with_that_account() -> None:
    priced()
    choice = Choice(unpriced=True, account=Account.objects.get(external_id="b"), since=NOW)
    assert Choice.of(choice.stored()) == choice
    run("reprice", "--unpriced", "--account", "b", "--since", "2026-11-22T12:00Z")
    assert (CorrectionBatch.objects.get().choice, worths()["e0"]) == (choice.stored(), (0, False))


def test_another_choice_is_another_batch() -> None:
    first = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
    assert repricing.start(Choice(unpriced=True), reason="y", actor="bob", at=NOW) == first
    assert repricing.start(Choice(unpriced=True, model="m"), reason="x", actor="ann", at=NOW) != first
    assert repricing.start(Choice(since=NOW), reason="x", actor="ann", at=NOW) != first


def test_a_preview_looks_at_no_more_than_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    priced()
    monkeypatch.setattr(repricing, "LOOKED", 1)

    found = repricing.preview(Choice(unpriced=True), most=3)
    assert (found.looked, found.complete) == (3, False)
    whole = repricing.preview(Choice(unpriced=True), most=5)
    assert (whole.looked, whole.complete) == (5, True)
    assert whole.changes == (
        Change("a", calls=2, old_nano=0, new_nano=7_002_000, priced=2, unpriced=0),
        Change("b", calls=1, old_nano=0, new_nano=7_000_000, priced=1, unpriced=2),
    )


def test_re_priced_costs_are_the_exact_sums_rounded_once_each() -> None:
    chance = random.Random(20261122)
    usages = [
        {
            "input_tokens": chance.randrange(10**6),
            "output_tokens": chance.randrange(10**5),
            "images": chance.randrange(9),
        }
        for _ in range(300)
    ]
    record(*({"model": NEW, "cost_usd": None, "category": "text", "usage": usage} for usage in usages))
    set_price(NEW, input_tokens="0.1234567", output_tokens="1.0000005", images="39999.9999999")
    rates = {"input_tokens": "0.1234567", "output_tokens": "1.0000005", "images": "39999.9999999"}
    run("reprice", "--batch-size", "70")

    exact = [sum(count * Fraction(rates[unit]) * 1000 for unit, count in usage.items()) for usage in usages]
    right = [round(cost) for cost in exact]  # a Fraction rounds half to even
    logs = UsageLog.objects.order_by("id").values_list("effective_nano", flat=True)
    assert list(logs) == right
    assert UsageDay.objects.get().cost_nano == sum(right) == CorrectionBatch.objects.get().delta_nano
    assert_equal()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--account", "nobody"), "There is no account 'nobody'."),
        (("--since", "soon"), "--since: 'soon' is no date or time such as 2026-11-01 or 2026-11-01T09:30Z."),
        (("--batch-size", "0"), "--batch-size is 1 to 10000."),
        (("--reason", " "), "--reason has 1 to 500 characters."),
        (("--revert", "x"), "There is no batch 'x'."),
        (
            ("--revert", "x", "--dry-run"),
            "--revert takes back a whole run, and goes with --batch-size only.",
        ),
    ],
)
def test_bad_use_changes_nothing(options: tuple[str, ...], message: str) -> None:
    priced()
    before = stored()
    end = run("reprice", *options)

    assert (end.status, end.err, stored()) == (2, message, before)
