"""`reprice`: recorded calls rated again by today's prices, as adjustments; previewed, resumed, and taken back whole."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from billing import corrections, repricing
from billing.models import CorrectionBatch, UsageAdjustment, UsageDay, UsageLog, UsageModel
from billing.repricing import Change, Choice
from tests.billing.ledger_rows import NOW, End, assert_equal, record, rollups, run, set_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db

NEW = "brand-new-1"  # a model that nobody has priced yet
USAGE = {"input_tokens": 1000, "output_tokens": 500}
CALLS: tuple[dict[str, Any], ...] = (
    {"model": NEW, "cost_usd": None, "usage": USAGE},
    {"model": NEW.upper(), "cost_usd": None, "usage": {"input_tokens": 1}},
    {"model": NEW, "cost_usd": "3", "usage": USAGE},
    {"model": NEW, "cost_usd": None, "status_code": 500},
    {"model": "gpt-4o", "cost_usd": None, "usage": USAGE},
    {"model": NEW, "cost_usd": None, "usage": USAGE, "account": "b", "provider": "anthropic"},
    {"model": NEW, "cost_usd": None, "usage": USAGE, "account": "b"},
    {"model": NEW, "cost_usd": None, "usage": {"seconds": "5"}, "account": "b"},
)


def worths() -> dict[str, tuple[int, bool]]:
    rows = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced")
    return {event: (nano, priced) for event, nano, priced in rows}


def batch_of(end: End) -> CorrectionBatch:
    return CorrectionBatch.objects.get(pk=UUID(end.lines[-1].partition("Batch ")[2].split(".")[0]))


def stored() -> tuple[Any, ...]:
    return (worths(), rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count())


def priced() -> None:
    record(*CALLS)
    set_price(NEW, input_tokens="2", output_tokens="10")


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
    summary = service.get("usage/summary/", account="a").json()
    total = UsageModel.objects.get(account__external_id="a", model=NEW, actual="openai")
    assert {name: row[name] for name in listed} == listed
    assert (row["cost_usd"], row["original_cost_usd"], row["priced"]) == ("0.007", None, True)
    assert [(each["kind"], each["delta_usd"]) for each in row["adjustments"]] == [("reprice", "0.007")]
    assert ",0.007,,unpriced,true,false," in cells
    assert (summary["total_cost_usd"], summary["unpriced_calls"]) == ("3.014502", 0)
    assert (total.cost_nano, total.unpriced_calls, total.calls) == (3_007_002_000, 0, 4)
    assert service.get("usage/summary/").json()["total_cost_usd"] == "3.021502"


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
    steps.close()
    assert_equal()
    end = run("reprice", "--batch-size", "1")

    assert batch_of(end) == batch
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, CorrectionBatch.objects.count()) == (3, 14_002_000, 1)
    assert {one.batch for one in UsageAdjustment.objects.all()} == {batch.id}
    assert batch_of(run("reprice")) != batch


def test_another_choice_is_another_batch() -> None:
    first = repricing.start(Choice(unpriced=True), reason="x", actor="ann", at=NOW)
    assert repricing.start(Choice(unpriced=True), reason="y", actor="bob", at=NOW) == first
    assert repricing.start(Choice(unpriced=True, model="m"), reason="x", actor="ann", at=NOW) != first
    assert repricing.start(Choice(since=NOW), reason="x", actor="ann", at=NOW) != first


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
    steps.close()
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


def test_a_revert_is_not_reverted() -> None:
    priced()
    batch = batch_of(run("reprice"))
    run("reprice", "--revert", str(batch.id))
    undo = CorrectionBatch.objects.get(kind="revert")

    assert run("reprice", "--revert", str(undo.id))[::2] == (2, "A revert is not reverted: correct again instead.")
