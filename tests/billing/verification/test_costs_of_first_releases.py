"""Calls that the first releases priced at rates that did not know their conditions keep their charge and its explanation."""

from __future__ import annotations

from typing import Any

import pytest

from billing.charges import rating
from billing.corrections import repricing
from billing.corrections.apply_corrections import Correction
from billing.models import UsageLog
from billing.reports import log_rows
from billing.verification import log_check
from providers import costing
from providers.models import Price, PriceRate
from tests.billing.ledger_rows import differences, record, set_price

pytestmark = pytest.mark.django_db

BATCH = {"usage": {"input_tokens": 1000}, "variant": {"service_tier": "batch"}}
AGGREGATED = {"usage": {"input_tokens": 1000, "requests": 10}}


@pytest.fixture
def price() -> Price:
    price = set_price("m-1", input_tokens="2")
    PriceRate.objects.create(price=price, unit="input_tokens", above=500, nano_per_million=4 * 10**9)
    return price


def record_as_before(monkeypatch: pytest.MonkeyPatch, **event: Any) -> UsageLog:
    with monkeypatch.context() as patch:
        patch.setattr(costing, "cost", costing.cost_by_any_rate)
        record({"model": "m-1", "cost_usd": None, **event})
    UsageLog.objects.update(checksum=None, calls=1)
    return UsageLog.objects.get()


@pytest.mark.parametrize("event", [BATCH, AGGREGATED])
def test_an_older_charge_is_consistent_and_explained(
    monkeypatch: pytest.MonkeyPatch, price: Price, event: dict[str, Any]
) -> None:
    log = record_as_before(monkeypatch, **event)
    assert (log.cost_total, log.price_id) == (4_000_000, price.pk)
    assert differences("log_costs") == []
    text = log_rows.explained_log(log)["explanation"]["text"]
    assert text[:3] == [
        "1,000 input tokens at $4.00 per million = $0.004",
        "Total: $0.004 (exact).",
        "With 1,000 input tokens in total, the rates for more than 500 input tokens apply.",
    ]


@pytest.mark.parametrize("event", [BATCH, AGGREGATED])
def test_a_charge_of_this_release_may_not_be_computed_as_before(
    monkeypatch: pytest.MonkeyPatch, price: Price, event: dict[str, Any]
) -> None:
    record_as_before(monkeypatch, **event)
    monkeypatch.setattr(log_check, "_is_of_first_releases", lambda _: False)
    (difference,) = differences("log_costs")
    assert difference.columns["cost_total"] == (4_000_000, 0 if event is BATCH else 2_000_000)


def test_only_repricing_changes_it(monkeypatch: pytest.MonkeyPatch, price: Price) -> None:
    log = record_as_before(monkeypatch, **BATCH)
    (correction,) = repricing.decide([log], rating.snapshot())
    assert isinstance(correction, Correction)
    assert correction.details["unpriced_reason"] == "condition_unknown"
    assert (correction.values["effective_nano"], correction.values["is_priced"]) == (0, False)
