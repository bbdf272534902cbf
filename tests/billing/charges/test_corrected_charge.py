"""A corrected charge in the row, the CSV and the explanation, after each kind of correction and its revert."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import UsageAdjustment, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import NOON, record, run
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

CORRECTED_AT = NOON + timedelta(hours=1)
USAGE = {"input_tokens": 1000, "output_tokens": 500}


@pytest.fixture(autouse=True)
def _ledger_stays_consistent() -> Iterator[None]:
    yield
    assert run("verify_ledger").status == 0


def record_call(**event: Any) -> UsageLog:
    record({"cost_usd": None, "usage": USAGE, **event})
    return UsageLog.objects.get()


def set_price(model: str = "gpt-4o", **rates: int) -> Price:
    price = Price(
        provider=Provider.objects.get(slug="openai"), pattern=model, valid_from=date(2026, 1, 1), source="new list"
    )
    return price_edits.add_revision(
        price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()]
    )


def reprice() -> UsageAdjustment:
    batch = repricing.start(RepricingChoice(), reason="New list", actor="olga", at=CORRECTED_AT)
    assert sum(step.change.calls for step in repricing.run(batch, size=100, clock=lambda: CORRECTED_AT)) == 1
    return UsageAdjustment.objects.get(batch=batch.id)


def void(log: UsageLog) -> UsageAdjustment:
    corrections.void(log, reason="Double charge", actor="olga", at=CORRECTED_AT)
    return UsageAdjustment.objects.get(kind="void")


def revert(adjustment: UsageAdjustment) -> UsageAdjustment:
    corrections.revert_adjustment(adjustment, reason="Mistaken", actor="olga", at=CORRECTED_AT)
    return UsageAdjustment.objects.get(kind="revert", details__reverts=str(adjustment.id))


def log_row(api: Api) -> dict[str, Any]:
    """The log's row with its explanation, after asserting that the list and the CSV agree with it."""
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


def correction_sentences(row: dict[str, Any]) -> list[str]:
    text: list[str] = row["explanation"]["text"]
    start = next(number for number, sentence in enumerate(text) if sentence.startswith("Original charge"))
    return text[start:-1]


def test_a_repriced_charge_is_explained_by_its_new_price(service: Api) -> None:
    log = record_call()
    price = set_price(input_tokens=1_000_000_000, output_tokens=4_000_000_001)
    adjustment = reprice()
    row = log_row(service)

    assert money(row) == ("0.003", "0.0075", "price_book", True, False)
    explanation = row["explanation"]
    assert (explanation["price"]["id"], explanation["price"]["source"]) == (price.pk, "new list")
    assert [line["cost_usd"] for line in explanation["lines"]] == ["0.001", "0.0020000000005"]
    assert (explanation["unrounded_usd"], explanation["rounding_usd"]) == ("0.0030000000005", "-0.0000000000005")
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
    assert correction_sentences(row) == [
        "Original charge: $0.0075.",
        "2026-11-22 13:00 UTC: re-priced, from $0.0075 to $0.003. Reason: New list",
        "Current charge: $0.003.",
    ]
    assert log.price_id != price.pk


def test_a_reverted_repricing_restores_the_original_price(service: Api) -> None:
    log = record_call()
    first = log_row(service)
    set_price(input_tokens=1_000_000_000)
    reverting = revert(reprice())
    row = log_row(service)

    assert money(row) == ("0.0075", "0.0075", "price_book", True, False)
    assert {**row["explanation"], "text": []} == {**first["explanation"], "text": []} | {
        "price": {**first["explanation"]["price"], "id": log.price_id}
    }
    assert [
        (adjustment["kind"], adjustment["delta_usd"], adjustment["reverted_by"]) for adjustment in row["adjustments"]
    ] == [
        ("reprice", "-0.0065", str(reverting.id)),
        ("revert", "0.0065", None),
    ]
    assert row["adjustments"][1]["reverts"] == row["adjustments"][0]["id"]
    assert correction_sentences(row) == [
        "Original charge: $0.0075.",
        "2026-11-22 13:00 UTC: re-priced, from $0.0075 to $0.001 (later reverted). Reason: New list",
        "2026-11-22 13:00 UTC: re-pricing reverted, from $0.001 to $0.0075. Reason: Mistaken",
        "Current charge: $0.0075.",
    ]


def test_an_unpriced_call_becomes_priced_and_back(service: Api) -> None:
    record_call(model="odd-model")
    assert money(log_row(service)) == (None, None, "unpriced", False, False)
    set_price("odd-model", output_tokens=2_000_000_000)
    adjustment = reprice()
    row = log_row(service)

    assert money(row) == ("0.001", None, "price_book", True, False)
    assert (row["adjustments"][0]["from_usd"], row["adjustments"][0]["to_usd"]) == (None, "0.001")
    assert row["explanation"]["text"][0] == "500 output tokens at $2.00 per million = $0.001"
    assert correction_sentences(row)[:2] == [
        "Original charge: unpriced.",
        "2026-11-22 13:00 UTC: re-priced, from unpriced to $0.001. Reason: New list",
    ]
    revert(adjustment)
    row = log_row(service)
    assert money(row) == (None, None, "unpriced", False, False)
    assert (row["adjustments"][1]["from_usd"], row["adjustments"][1]["to_usd"]) == ("0.001", None)
    assert row["explanation"]["text"][0].startswith("Unpriced, not free: ")


@pytest.mark.parametrize(("model", "first", "source"), [("gpt-4o", "0.0075", "price_book"), ("odd", None, "unpriced")])
def test_a_voided_call_costs_nothing_and_shows_its_original_charge(
    service: Api, model: str, first: str | None, source: str
) -> None:
    log = record_call(model=model)
    before = log_row(service)
    adjustment = void(log)
    row = log_row(service)

    assert money(row) == ("0", first, source, first is not None, True)
    explanation = row["explanation"]
    assert (explanation["price"], explanation["lines"], explanation["unrounded_usd"], explanation["rounding_usd"]) == (
        None,
        [],
        None,
        None,
    )
    assert explanation["text"][0] == "This call was voided. It costs nothing and no longer counts toward any limit."
    original = f"${first}" if first else "unpriced"
    assert correction_sentences(row) == [
        f"Original charge: {original}.",
        f"2026-11-22 13:00 UTC: voided, from {original} to nothing. Reason: Double charge",
        "Current charge: nothing.",
    ]
    revert(adjustment)
    row = log_row(service)
    assert money(row) == money(before)
    assert row["explanation"]["lines"] == before["explanation"]["lines"]
    assert correction_sentences(row)[2] == (
        f"2026-11-22 13:00 UTC: void reverted, from nothing to {original}. Reason: Mistaken"
    )


def test_a_reverted_void_restores_the_repriced_charge(service: Api) -> None:
    log = record_call()
    set_price(input_tokens=1_000_000_000)
    reprice()
    log.refresh_from_db()
    adjustment = void(log)
    assert money(log_row(service)) == ("0", "0.0075", "price_book", True, True)
    revert(adjustment)
    row = log_row(service)
    assert money(row) == ("0.001", "0.0075", "price_book", True, False)
    assert row["explanation"]["lines"][0]["rate_usd_per_million"] == "1"


def test_a_redetected_provider_shows_both_names_and_keeps_the_charge(service: Api) -> None:
    record_call()
    UsageLog.objects.update(actual_provider_name="azure", checksum=None)
    run("rebuild_rollups")
    assert run("backfill_actual_providers", "--redetect").status == 0
    row = log_row(service)

    (adjustment,) = row["adjustments"]
    assert (adjustment["kind"], adjustment["delta_usd"], adjustment["from_usd"], adjustment["to_usd"]) == (
        "redetect",
        "0",
        "0.0075",
        "0.0075",
    )
    assert (adjustment["from_provider"], adjustment["to_provider"]) == ("azure", "openai")
    assert "provider redetected, from Azure to OpenAI; the charge is unchanged" in correction_sentences(row)[1]


def test_the_price_keeps_its_provider_when_the_logs_provider_differs(service: Api) -> None:
    log = record_call()
    UsageLog.objects.update(actual_provider_name="azure", detection_rule="x", checksum=None)
    run("rebuild_rollups")
    explanation = log_row(service)["explanation"]

    assert (explanation["price"]["id"], explanation["price"]["provider"], explanation["price"]["matched_by"]) == (
        log.price_id,
        "openai",
        "exact",
    )
    assert next(sentence for sentence in explanation["text"] if sentence.startswith("Price ")).startswith(
        f"Price {log.price_id} for gpt-4o at OpenAI"
    )


def test_the_operator_who_corrected_is_not_shown(service: Api) -> None:
    void(record_call())
    row = service.get("usage/logs/").content.decode() + str(log_row(service))
    assert "olga" not in row
