"""Who serves a call to a private host: a vendor behind a proxy, if it prices the model, or the host itself."""

from __future__ import annotations

import json
from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from providers import attribution, model_ids, shipped
from providers.costing import PricedModel, Rate
from providers.detection import Call, Detection, Rule
from providers.price_book import PriceBook, PriceEntry
from providers.rulebook import RuleBook
from tests.conftest import Api
from tests.providers.rulesets import detect, rule, shipped_rule_set, with_own_rules

PRICED = {
    "anthropic": ["claude-3.5-sonnet", "claude-sonnet-4"],
    "azure": ["gpt-4o"],
    "bedrock": ["anthropic.claude-sonnet-4"],
    "cohere": ["command-r"],
    "elevenlabs": ["eleven_v3"],
    "google": ["gemini-2.5-pro", "gemma-2-27b-it", "veo-3"],
    "groq": ["llama-3.3-70b", "openai/gpt-oss-120b"],
    "huggingface": ["openai/gpt-oss-120b", "openai/gpt-oss-120b:groq"],
    "local": ["*"],
    "mistral": ["mistral-small", "mistral-large"],
    "moonshotai": ["kimi-k2"],
    "openai": ["gpt-4o", "gpt-image-1", "gpt-oss-20b", "whisper-1"],
    "openrouter": ["*:free"],
}
PRIVATE = "http://litellm.internal:4000/v1/chat/completions"


def book(priced: dict[str, list[str]], since: date = date(2025, 1, 1)) -> PriceBook:
    entries = [
        PriceEntry(PricedModel(1, slug, pattern, since, "test", (Rate("input_tokens", "", 0, 1),)), frozenset())
        for slug, patterns in priced.items()
        for pattern in patterns
    ]
    aliases = {row["slug"]: row["aliases"] for row in shipped.read_rows("providers.json")}
    return PriceBook(1, entries, {slug: model_ids.vendor_names(slug, aliases[slug]) for slug in priced})


def detect_call(call: Call, *own_rules: Rule, prices: PriceBook | None = None) -> Detection:
    rules = with_own_rules(*own_rules) if own_rules else shipped_rule_set()
    return attribution.detect(call, RuleBook(1, rules, {}), prices or book(PRICED))


def behind_proxy(declared: str, model: str) -> tuple[str, str]:
    detection = detect_call(Call(declared, model, PRIVATE))
    return detection.actual_provider, detection.confidence


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://litellm.internal:4000/v1/messages",
        "http://localhost:4000/v1/messages",
        "localhost:4000/v1/messages",
        "http://127.0.0.1:4000/anthropic/v1/messages",
        "http://[::1]:4000/v1/messages",
        "http://10.1.2.3:4000",
        "http://192.168.1.20:4000/v1",
        "http://100.100.1.2:4000/v1",
        "http://litellm:4000/v1/messages",
        "http://litellm.default.svc/v1",
        "http://litellm.default.svc.cluster.local:4000/v1",
        "http://host.docker.internal:4000/v1",
        "https://llm.corp/v1",
    ],
)
def test_a_declared_vendor_that_prices_the_model_serves_it_behind_any_private_host(endpoint: str) -> None:
    assert detect_call(Call("anthropic", "Claude-3.5-Sonnet", endpoint)) == Detection(
        "anthropic", "fallback", "text", "private-host-proxy", "private host; anthropic prices this model"
    )


@pytest.mark.parametrize(
    ("declared", "model", "provider"),
    [
        ("openai", "gpt-4o", "openai"),
        ("openai", "gpt-4o-2024-08-06", "openai"),
        ("openai", "openai/gpt-4o", "openai"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::1", "openai"),
        ("Claude", "anthropic/claude-sonnet-4-20250514", "anthropic"),
        ("azure", "gpt-4o", "azure"),
        ("groq", "llama-3.3-70b", "groq"),
        ("groq", "openai/gpt-oss-120b", "groq"),
        ("mistral", "mistral-small", "mistral"),
        ("moonshotai", "kimi-k2", "moonshotai"),
        ("openai", "whisper-1", "openai"),
    ],
)
def test_the_declared_vendor_is_taken_where_it_prices_the_model(declared: str, model: str, provider: str) -> None:
    assert behind_proxy(declared, model) == (provider, "fallback")


@pytest.mark.parametrize(
    ("declared", "model", "provider"),
    [
        ("openai", "anthropic/claude-sonnet-4", "anthropic"),
        ("openai", "claude-sonnet-4", "anthropic"),
        ("llm", "claude-sonnet-4", "anthropic"),
        ("litellm", "anthropic/claude-sonnet-4", "anthropic"),
        ("openai", "azure/gpt-4o", "azure"),
        ("openai", "groq/llama-3.3-70b", "groq"),
        ("openai", "mistral/mistral-small", "mistral"),
        ("openai", "moonshot/kimi-k2", "moonshotai"),
        ("openai", "prod/claude-sonnet-4", "anthropic"),
        ("openai", "bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", "bedrock"),
        ("openai", "us.anthropic.claude-sonnet-4-20250514-v1:0", "bedrock"),
        ("openai", "openai/gpt-oss-120b:groq", "huggingface"),
        ("text", "x-lab/x-1:free", "openrouter"),
        ("video", "veo-3", "google"),
        ("image", "gpt-image-1", "openai"),
        ("audio", "eleven_v3", "elevenlabs"),
        ("huggingface", "claude-sonnet-4", "huggingface"),  # a gateway whose label stands: unpriced, not free
    ],
)
def test_else_the_vendor_that_the_models_name_names_is_taken_where_it_prices_the_model(
    declared: str, model: str, provider: str
) -> None:
    assert behind_proxy(declared, model) == (provider, "fallback")


@pytest.mark.parametrize(
    ("declared", "model"), [("azure", "gpt-4o"), ("openai", "azure/gpt-4o"), ("azure", "azure/gpt-4o")]
)
def test_a_gateway_that_is_named_serves_a_model_of_which_only_the_maker_has_a_price(declared: str, model: str) -> None:
    detection = detect_call(Call(declared, model, PRIVATE), prices=book({"openai": ["gpt-4o"]}))
    assert (detection.actual_provider, detection.evidence) == ("azure", "private host; openai prices this model")


@pytest.mark.parametrize(
    ("declared", "model"),
    [
        ("openai", "llama-3"),
        ("openai", "gpt-oss-20b"),
        ("openai", "openai/gpt-oss-20b"),
        ("openai", "llama3.1:8b"),
        ("openai", "qwen2.5"),
        ("openai", "ollama/gpt-4o"),
        ("openai", "azure/llama-3"),
        ("openai", "mistralai/mistral-small"),
        ("ollama", "gpt-4o"),
        ("local", "claude-sonnet-4"),
        ("mistral", "openai/gpt-oss-120b"),
        ("mistral", "gpt-oss-120b"),
        ("google", "gemma-2-27b-it"),
        ("gemini", "google/gemma-2-27b-it"),
        ("openai", "mistral-small"),
        ("openai", "command-r"),
        ("audio", "whisper-1"),
        ("groq", "llama-3.1-8b"),
        ("anthropic", "claude-nobody-prices"),
        ("video", "wan-2.5"),
        ("acme-ai", "acme-1"),
        ("openai", ""),
        ("", ""),
    ],
)
def test_a_model_that_no_named_vendor_prices_or_anybody_may_run_is_served_by_the_host(
    declared: str, model: str
) -> None:
    detection = detect_call(Call(declared, model, PRIVATE))
    assert (detection.actual_provider, detection.confidence, detection.evidence) == (
        "local",
        "exact",
        "host litellm.internal",
    )


def test_a_price_of_any_day_counts() -> None:
    call = Call("openai", "gpt-9", PRIVATE)
    assert detect_call(call, prices=book({"openai": ["gpt-9"]}, since=date(2030, 1, 1))).actual_provider == "openai"


def test_an_operators_rule_for_the_host_decides() -> None:
    call = Call("anthropic", "claude-sonnet-4", PRIVATE)
    assert detect_call(call, rule("host", "litellm.internal", "local")).confidence == "exact"
    assert detect_call(call, rule("host", "litellm.internal", "local")).actual_provider == "local"
    assert detect_call(call, rule("host", "litellm.internal", "bedrock")).actual_provider == "bedrock"
    ignored = detect_call(call, rule("host", "litellm.internal"))
    assert (ignored.actual_provider, ignored.confidence, ignored.rule) == ("anthropic", "weak", "family-claude-any")


@pytest.mark.parametrize(
    "call",
    [
        Call("anthropic", "claude-sonnet-4", PRIVATE, "local"),
        Call("anthropic", "claude-sonnet-4", PRIVATE, "groq"),
        Call("anthropic", "claude-sonnet-4", "https://llm.acme.example/v1"),
        Call("anthropic", "claude-sonnet-4", "https://api.openai.com/v1"),
        Call("anthropic", "claude-sonnet-4", "https://api.anthropic.com.evil.example/v1"),
        Call("openai", "gpt-4o", "/local/chat"),
        Call("anthropic", "claude-sonnet-4", ""),
    ],
)
def test_prices_change_no_other_detection(call: Call) -> None:
    assert detect_call(call) == detect(*call[:4])


@pytest.mark.django_db
def test_the_api_the_command_and_the_admin_say_the_same(service: Api, client: Client) -> None:
    expected = {
        "actual_provider": "anthropic",
        "label": "Anthropic",
        "confidence": "fallback",
        "category": "text",
        "rule": "private-host-proxy",
        "evidence": "private host; anthropic prices this model",
    }
    call = {"provider": "anthropic", "model": "claude-3.5-sonnet", "endpoint": PRIVATE}
    assert service.post("providers/detect/", call).json() == expected

    out = StringIO()
    call_command("detect_provider", "anthropic", "--model", call["model"], "--endpoint", PRIVATE, "--json", stdout=out)
    assert json.loads(out.getvalue()) == expected

    client.force_login(User.objects.create_superuser("operator"))
    form = {"declared": "anthropic", "model": call["model"], "endpoint": PRIVATE}
    page: Any = client.get("/admin/providers/detectionrule/try/", form)
    assert (page.context["detected"].actual_provider, page.context["label"]) == ("anthropic", "Anthropic")
    assert "private host; anthropic prices this model" in page.content.decode()
