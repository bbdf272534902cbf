"""`GET usage/logs/{id}/`: a log with its explanation, whose lines and rounding add up to the stored cost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Account, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db

PRICE_MATCH = "valid from 2025-01-01, matched by exact model id; source: earlier system."


def record_and_get(api: Api, **event: Any) -> dict[str, Any]:
    (result,) = record({"cost_usd": None, **event})
    response = api.get(f"usage/logs/{result.id}/")
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def set_price(price: Price, **rates: int) -> Price:
    return price_edits.add_revision(
        price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()]
    )


def test_a_charge_is_explained(service: Api) -> None:
    row = record_and_get(service, usage={"input_tokens": 1000, "output_tokens": 500})
    log = UsageLog.objects.get()

    listed = service.get("usage/logs/", account="a").json()["results"][0]
    explanation = row.pop("explanation")
    assert row == {**listed, "reading": None}
    base_rate = {"variant": "", "above": 0}
    assert explanation["lines"] == [
        {"unit": "input_tokens", "quantity": "1000", "rate_usd_per_million": "2.5", "cost_usd": "0.0025", **base_rate},
        {"unit": "output_tokens", "quantity": "500", "rate_usd_per_million": "10", "cost_usd": "0.005", **base_rate},
    ]
    assert (explanation["unrounded_usd"], explanation["rounding_usd"], row["cost_usd"]) == ("0.0075", "0", "0.0075")
    assert {name: explanation["price"][name] for name in ("id", "provider", "model", "valid_from", "matched_by")} == {
        "id": log.price_id,
        "provider": "openai",
        "model": "gpt-4o",
        "valid_from": "2025-01-01",
        "matched_by": "exact",
    }
    assert explanation["detection"] == {"rule": log.detection_rule, "evidence": "model gpt-4o", "confidence": "weak"}
    assert explanation["text"] == [
        "1,000 input tokens at $2.50 per million = $0.0025",
        "500 output tokens at $10.00 per million = $0.005",
        "Total: $0.0075 (exact).",
        f"Price {log.price_id} for gpt-4o at OpenAI, {PRICE_MATCH}",
        "Served by OpenAI (weak): model gpt-4o.",
    ]


@pytest.mark.parametrize(
    ("usage", "unrounded", "cost"),
    [
        ({"input_tokens": 1, "output_tokens": 0}, "0.0000000005", "0"),
        ({"input_tokens": 3, "output_tokens": 0}, "0.0000000015", "0.000000002"),
        ({"input_tokens": 1, "output_tokens": 1}, "0.0000000008", "0.000000001"),
        ({"input_tokens": 5, "output_tokens": 0}, "0.0000000025", "0.000000002"),
    ],
)
def test_the_lines_and_one_rounding_half_to_even_add_up_to_the_cost(
    service: Api, usage: dict[str, int], unrounded: str, cost: str
) -> None:
    tiny = Price(provider=Provider.objects.get(slug="openai"), pattern="tiny", valid_from=date(2026, 1, 1), source="x")
    set_price(tiny, input_tokens=500_000, output_tokens=300_000)
    row = record_and_get(service, model="tiny", usage=usage)

    explanation = row["explanation"]
    assert (explanation["unrounded_usd"], row["cost_usd"]) == (unrounded, cost)
    lines_usd = sum(Decimal(line["cost_usd"]) for line in explanation["lines"])
    assert lines_usd == Decimal(unrounded)
    assert lines_usd + Decimal(explanation["rounding_usd"]) == Decimal(cost)


def test_an_unpriced_call_is_never_shown_as_0(service: Api) -> None:
    row = record_and_get(service, model="nobody-knows", usage={"input_tokens": 5})

    assert (row["cost_usd"], row["original_cost_usd"], row["priced"], row["cost_source"]) == (
        None,
        None,
        False,
        "unpriced",
    )
    explanation = row["explanation"]
    names = ("price", "lines", "unrounded_usd", "rounding_usd")
    assert [explanation[name] for name in names] == [None, [], None, None]
    assert "nobody-knows at OpenAI" in explanation["text"][0]
    assert explanation["text"][0].startswith("Unpriced, not free: ")


def test_a_cost_stated_by_the_caller_is_used(service: Api) -> None:
    row = record_and_get(service, cost_usd="1.25")

    assert (row["cost_usd"], row["cost_source"], row["explanation"]["price"]) == ("1.25", "caller", None)
    assert row["explanation"]["text"][0] == "The caller stated the cost: $1.25."


def test_a_failed_call_without_usage_is_free(service: Api) -> None:
    row = record_and_get(service, status_code=500)

    assert (row["cost_usd"], row["cost_source"], row["priced"], row["status"]) == ("0", "free", True, "failed")
    assert row["explanation"]["text"][0] == "A failed call without usage costs nothing."


def test_a_log_without_a_detected_provider_shows_its_label(service: Api) -> None:
    (result,) = record({"provider": "Gemini"})
    UsageLog.objects.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
    row = service.get(f"usage/logs/{result.id}/").json()

    assert (row["actual_provider"], row["confidence"]) == ("gemini", "fallback")
    assert row["explanation"]["detection"] == {"rule": "", "evidence": "", "confidence": "fallback"}
    assert row["explanation"]["text"][-1].startswith("No provider has been detected yet. The declared label is shown: ")


def test_a_superseded_price_still_explains_the_calls_it_rated(service: Api) -> None:
    (result,) = record({"cost_usd": None, "usage": {"input_tokens": 1000, "output_tokens": 500}})
    before = service.get(f"usage/logs/{result.id}/").json()
    old = Price.objects.get(pk=before["explanation"]["price"]["id"])
    set_price(
        Price(provider=old.provider, pattern=old.pattern, valid_from=old.valid_from, source="x"), input_tokens=10**12
    )
    after = service.get(f"usage/logs/{result.id}/").json()

    assert after["cost_usd"] == before["cost_usd"]
    assert {**after["explanation"]["price"], "matched_by": ""} == {**before["explanation"]["price"], "matched_by": ""}
    assert after["explanation"]["lines"] == before["explanation"]["lines"]


@pytest.mark.parametrize("log_id", ["00000000-0000-0000-0000-000000000000", "0193a1b2-7e5d-7c4a-9b3e-2f8d6a1c0e57"])
def test_an_unknown_log_is_404(service: Api, log_id: str) -> None:
    record({})
    assert service.get(f"usage/logs/{log_id}/").status_code == 404


def test_the_filter_account(service: Api, bound: Api, account: Account) -> None:
    (result,) = record({"account": "acct_42"})

    assert service.get(f"usage/logs/{result.id}/", account="acct_42").status_code == 200
    assert bound.get(f"usage/logs/{result.id}/").status_code == 200
    record({"account": "b"})
    assert service.get(f"usage/logs/{result.id}/", account="b").status_code == 404
