"""What a corrected charge says: the row, the CSV, the explanation and its sentences, after each correction and its revert."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import UsageAdjustment, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import NOW, record, run
from tests.conftest import Api

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
USED = {"input_tokens": 1000, "output_tokens": 500}


@pytest.fixture(autouse=True)
def _ledger_holds() -> Iterator[None]:
    yield
    assert run("verify_ledger").status == 0


def call(**event: Any) -> UsageLog:
    record({"cost_usd": None, "usage": USED, **event})
    return UsageLog.objects.get()


def set_price(model: str = "gpt-4o", **rates: int) -> Price:
    price = Price(
        provider=Provider.objects.get(slug="openai"), pattern=model, valid_from=date(2026, 1, 1), source="new list"
    )
    return price_edits.record(
        price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()]
    )


def reprice() -> UsageAdjustment:
    batch = repricing.start(Choice(), reason="New list", actor="olga", at=LATER)
    assert sum(step.change.calls for step in repricing.go_on(batch, size=100, at=LATER)) == 1
    return UsageAdjustment.objects.get(batch=batch.id)


def void(log: UsageLog) -> UsageAdjustment:
    corrections.void(log, reason="Double charge", actor="olga", at=LATER)
    return UsageAdjustment.objects.get(kind="void")


def revert(adjustment: UsageAdjustment) -> UsageAdjustment:
    corrections.revert_one(adjustment, reason="Mistaken", actor="olga", at=LATER)
    return UsageAdjustment.objects.get(kind="revert", details__reverts=str(adjustment.id))


def shown(api: Api) -> dict[str, Any]:
    """The log's row with its explanation; the list and the CSV say the same."""
    (row,) = api.get("usage/logs/").json()["results"]
    (line,) = csv.DictReader(io.StringIO(api.get("usage/logs/", format="csv").getvalue().decode(), newline=""))
    body: dict[str, Any] = api.get(f"usage/logs/{row['id']}/").json()
    assert {name: body[name] for name in row} == row
    for name in ("cost_usd", "original_cost_usd", "cost_source"):
        assert line[name] == (row[name] or "")
    for name in ("priced", "voided"):
        assert line[name] == str(row[name]).lower()
    return body


def money(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("cost_usd", "original_cost_usd", "cost_source", "priced", "voided"))


def corrections_told(row: dict[str, Any]) -> list[str]:
    text: list[str] = row["explanation"]["text"]
    start = next(number for number, one in enumerate(text) if one.startswith("First charged"))
    return text[start:-1]


def test_a_repriced_charge_is_explained_by_its_new_price(service: Api) -> None:
    log = call()
    price = set_price(input_tokens=1_000_000_000, output_tokens=4_000_000_001)
    adjustment = reprice()
    row = shown(service)

    assert money(row) == ("0.003", "0.0075", "price_book", True, False)
    why = row["explanation"]
    assert (why["price"]["id"], why["price"]["source"]) == (price.pk, "new list")
    assert [line["cost_usd"] for line in why["lines"]] == ["0.001", "0.0020000000005"]
    assert (why["unrounded_usd"], why["rounding_usd"]) == ("0.0030000000005", "-0.0000000000005")
    assert row["adjustments"] == [
        {
            "id": str(adjustment.id),
            "kind": "reprice",
            "delta_usd": "-0.0045",
            "from_usd": "0.0075",
            "to_usd": "0.003",
            "from_provider": None,
            "to_provider": None,
            "reason": "New list",
            "at": "2026-11-22T13:00:00Z",
            "batch": str(adjustment.batch),
            "reverts": None,
            "reverted_by": None,
        }
    ]
    assert corrections_told(row) == [
        "First charged: $0.0075.",
        "2026-11-22 13:00 UTC: re-priced, from $0.0075 to $0.003. Reason: New list",
        "Charged now: $0.003.",
    ]
    assert log.price_id != price.pk


def test_a_reverted_repricing_gives_the_first_price_back(service: Api) -> None:
    log = call()
    first = shown(service)
    set_price(input_tokens=1_000_000_000)
    undo = revert(reprice())
    row = shown(service)

    assert money(row) == ("0.0075", "0.0075", "price_book", True, False)
    assert {**row["explanation"], "text": []} == {**first["explanation"], "text": []} | {
        "price": {**first["explanation"]["price"], "id": log.price_id}
    }
    assert [(one["kind"], one["delta_usd"], one["reverted_by"]) for one in row["adjustments"]] == [
        ("reprice", "-0.0065", str(undo.id)),
        ("revert", "0.0065", None),
    ]
    assert row["adjustments"][1]["reverts"] == row["adjustments"][0]["id"]
    assert corrections_told(row) == [
        "First charged: $0.0075.",
        "2026-11-22 13:00 UTC: re-priced, from $0.0075 to $0.001 (taken back later). Reason: New list",
        "2026-11-22 13:00 UTC: re-pricing taken back, from $0.001 to $0.0075. Reason: Mistaken",
        "Charged now: $0.0075.",
    ]


def test_an_unpriced_call_becomes_priced_and_back(service: Api) -> None:
    call(model="odd-model")
    assert money(shown(service)) == (None, None, "unpriced", False, False)
    set_price("odd-model", output_tokens=2_000_000_000)
    adjustment = reprice()
    row = shown(service)

    assert money(row) == ("0.001", None, "price_book", True, False)
    assert (row["adjustments"][0]["from_usd"], row["adjustments"][0]["to_usd"]) == (None, "0.001")
    assert row["explanation"]["text"][0] == "500 output tokens at $2.00 a million = $0.001"
    assert corrections_told(row)[:2] == [
        "First charged: unpriced.",
        "2026-11-22 13:00 UTC: re-priced, from unpriced to $0.001. Reason: New list",
    ]
    revert(adjustment)
    row = shown(service)
    assert money(row) == (None, None, "unpriced", False, False)
    assert (row["adjustments"][1]["from_usd"], row["adjustments"][1]["to_usd"]) == ("0.001", None)
    assert row["explanation"]["text"][0].endswith(": unpriced, not free.")


@pytest.mark.parametrize(("model", "first", "source"), [("gpt-4o", "0.0075", "price_book"), ("odd", None, "unpriced")])
def test_a_voided_charge_is_nothing_and_says_what_it_was(
    service: Api, model: str, first: str | None, source: str
) -> None:
    log = call(model=model)
    before = shown(service)
    adjustment = void(log)
    row = shown(service)

    assert money(row) == ("0", first, source, first is not None, True)
    why = row["explanation"]
    assert (why["price"], why["lines"], why["unrounded_usd"], why["rounding_usd"]) == (None, [], None, None)
    assert why["text"][0] == "This call was voided: it costs nothing and counts no more."
    worth = f"${first}" if first else "unpriced"
    assert corrections_told(row) == [
        f"First charged: {worth}.",
        f"2026-11-22 13:00 UTC: voided, from {worth} to nothing. Reason: Double charge",
        "Charged now: nothing.",
    ]
    revert(adjustment)
    row = shown(service)
    assert money(row) == money(before)
    assert row["explanation"]["lines"] == before["explanation"]["lines"]
    assert corrections_told(row)[2] == (
        f"2026-11-22 13:00 UTC: void taken back, from nothing to {worth}. Reason: Mistaken"
    )


def test_a_voided_repricing_comes_back_as_the_repriced_charge(service: Api) -> None:
    log = call()
    set_price(input_tokens=1_000_000_000)
    reprice()
    log.refresh_from_db()
    adjustment = void(log)
    assert money(shown(service)) == ("0", "0.0075", "price_book", True, True)
    revert(adjustment)
    row = shown(service)
    assert money(row) == ("0.001", "0.0075", "price_book", True, False)
    assert row["explanation"]["lines"][0]["rate_usd_per_million"] == "1"


def test_a_provider_named_again_tells_both_names_and_keeps_the_price(service: Api) -> None:
    call()
    UsageLog.objects.update(actual_provider_name="azure")
    run("rebuild_rollups")
    assert run("backfill_actual_providers", "--redetect").status == 0
    row = shown(service)

    (told,) = row["adjustments"]
    assert (told["kind"], told["delta_usd"], told["from_usd"], told["to_usd"]) == ("redetect", "0", "0.0075", "0.0075")
    assert (told["from_provider"], told["to_provider"]) == ("azure", "openai")
    assert "provider named again, from Azure to OpenAI; the charge stays" in corrections_told(row)[1]


def test_a_price_that_is_not_the_log_providers_own_keeps_its_providers_name(service: Api) -> None:
    log = call()
    UsageLog.objects.update(actual_provider_name="azure", detection_rule="x")
    run("rebuild_rollups")
    why = shown(service)["explanation"]

    assert (why["price"]["id"], why["price"]["provider"], why["price"]["matched_by"]) == (
        log.price_id,
        "openai",
        "exact",
    )
    assert next(one for one in why["text"] if one.startswith("Price ")).startswith(
        f"Price {log.price_id} for gpt-4o at OpenAI"
    )


def test_who_corrected_is_no_customers_affair(service: Api) -> None:
    void(call())
    row = service.get("usage/logs/").content.decode() + str(shown(service))
    assert "olga" not in row
