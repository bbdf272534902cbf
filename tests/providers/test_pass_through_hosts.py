"""Gateways that pass calls on with the caller's own key: path, model and label name who bills."""

from __future__ import annotations

import pytest

from tests.providers.rulesets import detect

HOSTS = (
    "https://oai.helicone.ai/v1/chat/completions",
    "https://gateway.helicone.ai/v1/chat/completions",
    "https://ai-gateway.helicone.ai/v1/chat/completions",
    "https://oai.hconeai.com/v1/chat/completions",
    "https://api.portkey.ai/v1/chat/completions",
    "https://ai-gateway.vercel.sh/v1/chat/completions",
    "https://gateway.ai.cloudflare.com/v1/0123/acme/compat/chat/completions",
)


@pytest.mark.parametrize("endpoint", HOSTS)
@pytest.mark.parametrize(
    ("declared", "model", "provider", "confidence"),
    [
        ("openai", "our-alias", "openai", "fallback"),
        ("moonshotai", "kimi-k2-0905-preview", "moonshotai", "fallback"),
        ("text", "claude-sonnet-4", "anthropic", "weak"),
        ("azure", "gpt-4o", "azure", "fallback"),
        ("text", "anthropic/claude-sonnet-4", "anthropic", "strong"),
        ("text", "our-alias", "unknown", "fallback"),
    ],
)
def test_the_vendor_behind_is_the_one_that_model_or_label_name(
    endpoint: str, declared: str, model: str, provider: str, confidence: str
) -> None:
    detection = detect(declared, model, endpoint)
    assert (detection.actual_provider, detection.confidence, detection.category) == (provider, confidence, "text")


@pytest.mark.parametrize(
    ("path", "provider"),
    [("openai", "openai"), ("anthropic", "anthropic"), ("google-ai-studio", "google"), ("groq", "groq")],
)
def test_the_path_names_the_vendor_before_the_label(path: str, provider: str) -> None:
    detection = detect("text", "m-1", f"https://gateway.ai.cloudflare.com/v1/0123/acme/{path}/chat/completions")
    assert (detection.actual_provider, detection.confidence) == (provider, "strong")


def test_what_the_caller_states_comes_first() -> None:
    detection = detect("openai", "gpt-4o", HOSTS[0], served_by="azure")
    assert (detection.actual_provider, detection.confidence) == ("azure", "exact")
