"""`list_newly_unpriced`: priced calls that a re-pricing would make unpriced, by model and reason; it changes nothing."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest

from billing.corrections import newly_unpriced
from billing.models import CorrectionBatch, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run, set_price
from tests.billing.repricing_calls import charges_by_event

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
MODEL, BY_IMAGE = "new-1", "new-2"
USAGE = {"input_tokens": 1_000_000}
CALL: dict[str, Any] = {"model": MODEL, "cost_usd": None, "usage": USAGE}
PRIORITY = {**CALL, "variant": {"service_tier": "priority"}}


def set_price_for(holds_for: list[str]) -> None:
    price = Price(
        provider=Provider.objects.get(slug="openai"),
        pattern=MODEL,
        valid_from=date(2025, 1, 1),
        source="test",
        holds_for=holds_for,
    )
    price_edits.add_revision(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=2 * 10**9)])


@pytest.fixture
def calls() -> None:
    """Four calls that lose their price, and three that do not: of the standard tier, with a stated cost, and an old one."""
    set_price_for(["service_tier"])
    set_price(BY_IMAGE, input_tokens="3")
    old = {**PRIORITY, "event_id": "old", "occurred_at": (NOON - timedelta(days=31)).isoformat()}
    record(
        *(PRIORITY, {**PRIORITY, "model": MODEL.upper(), "account": "b"}, CALL, {**PRIORITY, "cost_usd": "5"}, old),
        *({**CALL, "model": BY_IMAGE}, {**CALL, "model": BY_IMAGE, "usage": {**USAGE, "requests": 4}}),
    )
    set_price_for([])
    set_price(BY_IMAGE, images="3")


def test_calls_are_listed_by_model_and_reason(calls: None) -> None:
    before = (charges_by_event(), rollups())
    result = run("list_newly_unpriced")
    assert (result.status, result.lines) == (
        0,
        [
            "openai new-2: 5 calls, 6 USD, usage_unknown",
            "openai new-1: 2 calls, 4 USD, condition_unknown",
            "5 logs of 30 days examined, 7 calls would turn unpriced; they cost 10 USD.",
        ],
    )
    assert (charges_by_event(), rollups(), CorrectionBatch.objects.count()) == (*before, 0)
    one = run("list_newly_unpriced", "--days", "365", "--account", "a")
    assert one.lines[0] == "openai new-2: 5 calls, 6 USD, usage_unknown"
    assert one.lines[1] == "openai new-1: 2 calls, 4 USD, condition_unknown"


def test_a_repricing_makes_exactly_these_unpriced(calls: None) -> None:
    run("reprice", "--since", "2026-10-23T12:00")
    assert sorted(UsageLog.objects.filter(is_priced=False).values_list("event_id", "unpriced_reason")) == [
        *(("e0", "condition_unknown"), ("e1", "condition_unknown")),
        *(("e5", "usage_unknown"), ("e6", "usage_unknown")),
    ]
    assert run("list_newly_unpriced").lines[-1].endswith(" 0 calls would turn unpriced; they cost 0 USD.")
    assert_ledger_consistent()


def test_csv_has_the_same_figures(calls: None) -> None:
    result = run("list_newly_unpriced", "--csv")
    assert list(csv.reader(StringIO(result.out))) == [
        ["provider", "model", "reason", "calls", "cost_usd"],
        ["openai", "new-2", "usage_unknown", "5", "6"],
        ["openai", "new-1", "condition_unknown", "2", "4"],
    ]
    assert result.err.endswith("7 calls would turn unpriced; they cost 10 USD.\n")


def test_the_number_of_models_in_memory_is_bounded(calls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newly_unpriced, "MAX_MODELS", 1)
    lines = run("list_newly_unpriced").lines
    assert len(lines) == 3
    assert any(line.startswith("(other models): ") for line in lines)


@pytest.mark.parametrize("arguments", [("--days", "0"), ("--days", "4000"), ("--account", "nobody")])
def test_wrong_options_are_refused(arguments: tuple[str, ...]) -> None:
    assert run("list_newly_unpriced", *arguments).status == 2
