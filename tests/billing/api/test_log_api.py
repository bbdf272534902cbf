"""`GET usage/logs/{id}/`: one row with its explanation, whose lines and rounding add up to the stored cost."""

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

FOUND = "valid from 2025-01-01, found by the model's exact id; source: earlier system."


def shown(api: Api, **event: Any) -> dict[str, Any]:
    (result,) = record({"cost_usd": None, **event})
    answer = api.get(f"usage/logs/{result.id}/")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def set_price(price: Price, **rates: int) -> Price:
    return price_edits.record(
        price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()]
    )


def test_a_charge_explains_itself(service: Api) -> None:
    row = shown(service, usage={"input_tokens": 1000, "output_tokens": 500})
    log = UsageLog.objects.get()

    listed = service.get("usage/logs/", account="a").json()["results"][0]
    why = row.pop("explanation")
    assert row == listed
    any_call = {"variant": "", "above": 0}
    assert why["lines"] == [
        {"unit": "input_tokens", "quantity": "1000", "rate_usd_per_million": "2.5", "cost_usd": "0.0025", **any_call},
        {"unit": "output_tokens", "quantity": "500", "rate_usd_per_million": "10", "cost_usd": "0.005", **any_call},
    ]
    assert (why["unrounded_usd"], why["rounding_usd"], row["cost_usd"]) == ("0.0075", "0", "0.0075")
    assert {name: why["price"][name] for name in ("id", "provider", "model", "valid_from", "matched_by")} == {
        "id": log.price_id,
        "provider": "openai",
        "model": "gpt-4o",
        "valid_from": "2025-01-01",
        "matched_by": "exact",
    }
    assert why["detection"] == {"rule": log.detection_rule, "evidence": "model gpt-4o", "confidence": "weak"}
    assert why["text"] == [
        "1,000 input tokens at $2.50 a million = $0.0025",
        "500 output tokens at $10.00 a million = $0.005",
        "Together $0.0075, exactly.",
        f"Price {log.price_id} for gpt-4o at OpenAI, {FOUND}",
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
    row = shown(service, model="tiny", usage=usage)

    why = row["explanation"]
    assert (why["unrounded_usd"], row["cost_usd"]) == (unrounded, cost)
    lines = sum(Decimal(line["cost_usd"]) for line in why["lines"])
    assert lines == Decimal(unrounded)
    assert lines + Decimal(why["rounding_usd"]) == Decimal(cost)


def test_an_unpriced_call_says_so_and_never_0(service: Api) -> None:
    row = shown(service, model="nobody-knows", usage={"input_tokens": 5})

    assert (row["cost_usd"], row["original_cost_usd"], row["priced"], row["cost_source"]) == (
        None,
        None,
        False,
        "unpriced",
    )
    why = row["explanation"]
    assert (why["price"], why["lines"], why["unrounded_usd"], why["rounding_usd"]) == (None, [], None, None)
    assert "nobody-knows at OpenAI" in why["text"][0]
    assert why["text"][0].endswith(": unpriced, not free.")


def test_a_stated_cost_is_the_callers(service: Api) -> None:
    row = shown(service, cost_usd="1.25")

    assert (row["cost_usd"], row["cost_source"], row["explanation"]["price"]) == ("1.25", "caller", None)
    assert row["explanation"]["text"][0] == "The caller stated the cost itself: $1.25."


def test_a_failed_call_without_usage_is_free(service: Api) -> None:
    row = shown(service, status_code=500)

    assert (row["cost_usd"], row["cost_source"], row["priced"], row["status"]) == ("0", "free", True, "failed")
    assert row["explanation"]["text"][0] == "A failed call without usage costs nothing."


def test_a_log_without_a_detected_provider_shows_its_label(service: Api) -> None:
    (result,) = record({"provider": "Gemini"})
    UsageLog.objects.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
    row = service.get(f"usage/logs/{result.id}/").json()

    assert (row["actual_provider"], row["confidence"]) == ("gemini", "fallback")
    assert row["explanation"]["detection"] == {"rule": "", "evidence": "", "confidence": "fallback"}
    assert row["explanation"]["text"][-1].startswith("The provider is not detected yet")


def test_a_superseded_price_still_explains_what_it_rated(service: Api) -> None:
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


@pytest.mark.parametrize("id_", ["00000000-0000-0000-0000-000000000000", "0193a1b2-7e5d-7c4a-9b3e-2f8d6a1c0e57"])
def test_an_unknown_log_is_404(service: Api, id_: str) -> None:
    record({})
    assert service.get(f"usage/logs/{id_}/").status_code == 404


def test_the_account_may_be_named(service: Api, bound: Api, account: Account) -> None:
    (result,) = record({"account": "acct_42"})

    assert service.get(f"usage/logs/{result.id}/", account="acct_42").status_code == 200
    assert bound.get(f"usage/logs/{result.id}/").status_code == 200
    record({"account": "b"})
    assert service.get(f"usage/logs/{result.id}/", account="b").status_code == 404
