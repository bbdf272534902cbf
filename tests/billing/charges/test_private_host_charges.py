"""Calls to private hosts and to vendors that had no host rule: their provider and cost when recorded and afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from billing.models import UsageAdjustment, UsageLog
from providers import price_edits, rulebook
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import run
from tests.billing.plan_limits import set_limits
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

GATEWAY = "http://litellm.internal:4000/v1/messages"
MILLION = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


def post(service: Api, event_id: str = "e1", **fields: Any) -> tuple[Any, ...]:
    """Records a call. Returns its provider, confidence, cost in USD and cost source."""
    default = {"event_id": event_id, "account": "a", "provider": "anthropic", "endpoint": GATEWAY, "usage": MILLION}
    response = service.post("usage/", default | fields)
    assert response.status_code == 201, response.content
    body = response.json()
    source = UsageLog.objects.get(event_id=event_id).cost_source
    return body["actual_provider"], body["confidence"], body["cost_usd"], source


def add_price(provider: str, model: str, input_usd: int, output_usd: int) -> None:
    price = Price(
        provider=Provider.objects.get(slug=provider), pattern=model, valid_from=date(2025, 1, 1), source="test"
    )
    rates = (("input_tokens", input_usd), ("output_tokens", output_usd))
    price_edits.add_revision(price=price, rates=[PriceRate(unit=unit, nano_per_million=usd) for unit, usd in rates])


def stored() -> list[tuple[str | None, str, str, str]]:
    columns = ("actual_provider_name", "confidence", "detection_rule", "evidence")
    return list(UsageLog.objects.order_by("event_id").values_list(*columns))


def test_a_paid_model_behind_a_private_gateway_is_charged_at_the_declared_vendors_price(service: Api) -> None:
    assert post(service, model="claude-3.5-sonnet") == ("anthropic", "fallback", "18", "price_book")
    evidence = "private host; anthropic prices this model"
    assert stored() == [("anthropic", "fallback", "private-host-proxy", evidence)]


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-oss-20b"), ("openai", "llama-3"), ("ollama", "gpt-4o")]
)
def test_a_self_hosted_model_is_free(service: Api, provider: str, model: str) -> None:
    assert post(service, provider=provider, model=model) == ("local", "exact", "0", "free")


def test_a_preflight_and_a_reservation_name_the_provider_that_the_log_gets(service: Api) -> None:
    set_limits({"monthly_cost": 20 * 10**9})
    operation = {"provider": "anthropic", "model": "claude-3.5-sonnet", "endpoint": GATEWAY, "estimate": MILLION}
    post(service, "e0", model="llama-3")
    for path, extra in (("preflight/", {}), ("reservations/", {"reservation_id": "r1"})):
        answer = service.post(path, {"account": "a", "operations": [operation], **extra}).json()
        result = answer["operations"][0]
        assert (answer["estimated_cost_usd"], result["actual_provider"], result["priced"]) == ("18", "anthropic", True)


def test_a_new_price_moves_new_calls_at_once_and_old_logs_only_by_redetection(service: Api) -> None:
    assert post(service, "e1", model="claude-9") == ("local", "exact", "0", "free")
    add_price("anthropic", "claude-9", 3 * 10**9, 15 * 10**9)
    assert post(service, "e2", model="claude-9") == ("anthropic", "fallback", "18", "price_book")
    local = ("local", "exact", "host-internal", "host litellm.internal")
    proxied = ("anthropic", "fallback", "private-host-proxy", "private host; anthropic prices this model")
    assert stored() == [local, proxied]

    assert run("backfill_actual_providers", "--redetect", "--dry-run").lines[0] == "1 local -> anthropic"
    assert (stored(), UsageAdjustment.objects.count()) == ([local, proxied], 0)

    result = run("backfill_actual_providers", "--redetect")
    assert (result.status, result.lines[0]) == (0, "1 local -> anthropic")
    assert stored() == [proxied, proxied]
    assert run("verify_ledger").status == 0
    assert run("backfill_actual_providers", "--redetect").lines == [
        "2 logs examined, 0 detected; 0 would now cost differently."
    ]


def test_logs_without_a_provider_are_detected_in_the_same_way(service: Api) -> None:
    post(service, "e1", model="claude-3.5-sonnet")
    post(service, "e2", model="llama-3")
    before = stored()
    UsageLog.objects.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
    assert run("backfill_actual_providers").status == 0
    assert stored() == before


def test_a_vendor_whose_prices_were_synced_is_found_by_its_documented_host(service: Api) -> None:
    add_price("moonshotai", "kimi-k2-0905-preview", 600_000_000, 2_500_000_000)
    usage = {"input_tokens": 1000, "output_tokens": 100}
    endpoint = "https://api.moonshot.ai/v1/chat/completions"
    call: dict[str, Any] = {
        "provider": "moonshotai",
        "model": "kimi-k2-0905-preview",
        "endpoint": endpoint,
        "usage": usage,
    }
    assert post(service, **call) == ("moonshotai", "exact", "0.00085", "price_book")


def test_a_vendor_without_a_host_rule_keeps_its_label_at_an_unknown_host(service: Api) -> None:
    Provider.objects.create(slug="acme", name="Acme")
    rulebook.invalidate()
    add_price("acme", "acme-1", 10**9, 0)
    call: dict[str, Any] = {
        "provider": "acme",
        "model": "acme-1",
        "endpoint": "https://api.acme.example/v1",
        "usage": {"input_tokens": 1000},
    }
    assert post(service, **call) == ("acme", "fallback", "0.001", "price_book")
    assert post(service, "e2", **call | {"provider": "openai"}) == ("unknown", "fallback", None, "unpriced")
