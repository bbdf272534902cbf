"""The handed cases of responses and events from the field, from the call to its cost, at the prices of genai-prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F

from billing.models import Account, UsageLog
from billing.recording.metered_call import metered_call
from providers.models import CatalogVersion, Price, PriceRate, Provider
from providers.price_sources import Offer, genai
from tests.conftest import Api

pytestmark = [pytest.mark.shared_data, pytest.mark.django_db, pytest.mark.frozen_at("2026-12-01T12:00")]

VALID_FROM = date(2025, 1, 1)
HTTP = "POST /api/v1/usage/"
# What a case without an exact answer allows: not another cost than these, where None is unpriced.
ALLOWED: dict[str, tuple[str | None, ...]] = {"aborted-openai-stream": (None,)}
SHIPPED_PRICES = {"private-gateway-host", "long-context-aggregated-row"}


def cases(shared_data: Path, call: str) -> dict[str, dict[str, Any]]:
    lines = (shared_data / "field_cases.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [case for case in map(json.loads, lines) if case["input"] and case["input"].get("call") == call]
    return {case["id"]: case for case in rows}


@pytest.fixture
def genai_accepted(genai_prices: None) -> None:
    """All prices of genai-prices in the book, those without a date from 2025-01-01 on."""
    offers = [offer for offer in genai.offers() if isinstance(offer, Offer)]
    for offer in offers:
        Provider.objects.get_or_create(slug=offer.provider, defaults={"name": offer.provider})
    ids = dict(Provider.objects.values_list("slug", "pk"))
    prices = [
        Price(
            provider_id=ids[offer.provider],
            pattern=offer.pattern,
            aliases=offer.aliases,
            valid_from=offer.valid_from or VALID_FROM,
            revision=1000,
            source=offer.source,
        )
        for offer in offers
    ]
    Price.objects.bulk_create(prices)
    PriceRate.objects.bulk_create(
        PriceRate(price=price, **asdict(rate))
        for price, offer in zip(prices, offers, strict=True)
        for rate in offer.rates
    )
    CatalogVersion.objects.update(version=F("version") + 1)


def run_metered(case: dict[str, Any], account: Account) -> UsageLog:
    def stream() -> Iterator[None]:
        with metered_call(**{**case["input"]["args"], "account": account.external_id}) as call:
            for response in case["input"]["call.response"]:
                call.response(response)
            yield

    generator = stream()
    next(generator)
    if "then raises" in case["input"]:
        generator.close()  # type: ignore[attr-defined]  # Iterator has no close
    else:
        next(generator, None)
    return UsageLog.objects.latest("id")


def cost_usd(answer: dict[str, Any]) -> str | None:
    return answer["cost_usd"] if answer["priced"] else None


def test_each_metered_call_costs_what_the_vendor_bills(
    shared_data: Path, genai_accepted: None, account: Account, bound: Api
) -> None:
    wrong = {}
    for name, case in cases(shared_data, "metered_call").items():
        log = run_metered(case, account)
        answer = bound.get(f"usage/logs/{log.id}/").json()
        if cost_usd(answer) not in ALLOWED.get(name, (case["expected"]["cost_usd"],)):
            wrong[name] = (cost_usd(answer), case["expected"]["cost_usd"], log.reading)
    assert wrong == {}, pformat(wrong)
    assert UsageLog.objects.count() == 17
    call_command("verify_ledger")


def refused_or_cost(answer: Any) -> object:
    body = answer.json()
    return cost_usd(body) if answer.status_code in {200, 201} else f"{answer.status_code} {body['errors'][0]['attr']}"


# Cases whose right answer is more than a cost, or another one at today's prices.
EXPECTED: dict[str, tuple[object, ...]] = {
    "fine-tune-base-price": ("4", None),
    "batch-tier-unknown-to-price": ("4", None),
    "negative-cost": ("422 cost_usd",),
    "epoch-seconds": ("422 occurred_at",),
    "openrouter-auto-never-negative": (None,),
    "deepseek-time-of-day": ("0.000156",),
    "gpt-image-1-5": ("0.040257",),
}


def test_each_event_is_priced_right_or_visibly_unpriced(
    shared_data: Path, genai_accepted: None, service: Api, account: Account
) -> None:
    wrong = {}
    for name, case in cases(shared_data, HTTP).items():
        if name in SHIPPED_PRICES:
            continue
        answer = service.post("usage/", {"event_id": name, "account": "acct_42", **case["input"]["event"]})
        expected = EXPECTED.get(name, (case["expected"].get("cost_usd", "?"),))
        if refused_or_cost(answer) not in expected:
            wrong[name] = (answer.json(), expected)
    assert wrong == {}, pformat(wrong)
    assert UsageLog.objects.count() == 12  # two are refused
    call_command("verify_ledger")
