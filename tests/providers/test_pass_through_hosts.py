"""Gateways that pass calls on with the caller's own key: path, model and label name who bills."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from providers import rulebook
from providers.models import DetectionRule
from tests.providers.historical_apps import apps_after
from tests.providers.rulesets import detect

migration: Any = import_module("providers.migrations.0010_pass_through_hosts")
BEFORE = "0009_proposals_say_what_they_lack"
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


@pytest.mark.django_db
def test_the_migration_adds_the_rules_once_and_its_reverse_removes_them(capsys: pytest.CaptureFixture[str]) -> None:
    rules = list(
        DetectionRule.objects.order_by("slug").values_list("slug", "pattern", "ignore_host", "shipped", "note")
    )
    migration.unload(apps_after(BEFORE), connection.schema_editor())
    assert DetectionRule.objects.count() == len(rules) - 4
    own = DetectionRule.objects.create(slug="host-portkey.ai", evidence="host", pattern="portkey.ai", ignore_host=True)
    version = rulebook.read_version()
    migration.load(apps_after(BEFORE), connection.schema_editor())
    assert rulebook.read_version() > version
    migration.load(apps_after(BEFORE), connection.schema_editor())
    printed = capsys.readouterr().out
    assert printed == "  3 detection rules added  0 detection rules added"
    own.refresh_from_db()
    assert (own.shipped, own.note) == (False, "")
    assert DetectionRule.objects.count() == len(rules)
