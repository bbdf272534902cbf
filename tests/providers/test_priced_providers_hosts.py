"""Each provider that genai-prices knows is detected at its documented URL; how its rules reach an old installation."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from providers import price_book, rulebook
from providers.models import CatalogVersion, DetectionRule, Price, Provider
from providers.price_sources import genai
from tests.providers.historical_apps import apps_after
from tests.providers.rulesets import detect

migration: Any = import_module("providers.migrations.0007_hosts_of_priced_providers")
URLS = {  # documented endpoints by provider of genai-prices; its routers at Hugging Face differ in the path only
    "anthropic": "https://api.anthropic.com/v1/messages",
    "arcee": "https://api.arcee.ai/api/v1/chat/completions",
    "avian": "https://api.avian.io/v1/chat/completions",
    "aws": "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/converse",
    "azure": "https://acme.openai.azure.com/openai/deployments/x/chat/completions",
    "baseten": "https://inference.baseten.co/v1/chat/completions",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "cloudflare": "https://api.cloudflare.com/client/v4/accounts/0123/ai/v1/chat/completions",
    "cohere": "https://api.cohere.com/v2/chat",
    "cursor": "https://api.cursor.com/v1/chat/completions",
    "databricks": "https://acme.cloud.databricks.com/serving-endpoints/x/invocations",
    "deepseek": "https://api.deepseek.com/chat/completions",
    "doubleword": "https://api.doubleword.ai/v1/chat/completions",
    "elevenlabs": "https://api.elevenlabs.io/v1/text-to-speech/x",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "github-copilot": "https://api.githubcopilot.com/chat/completions",
    "google": "https://generativelanguage.googleapis.com/v1beta/models/x:generateContent",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "meta": "https://api.meta.ai/v1/chat/completions",
    "minimax": "https://api.minimax.io/v1/text/chatcompletion_v2",
    "mistral": "https://api.mistral.ai/v1/chat/completions",
    "modal": "https://acme--x.modal.run/v1/chat/completions",
    "moonshotai": "https://api.moonshot.ai/v1/chat/completions",
    "novita": "https://api.novita.ai/openai/v1/chat/completions",
    "openai": "https://api.openai.com/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "ovhcloud": "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/chat/completions",
    "perplexity": "https://api.perplexity.ai/chat/completions",
    "quicksilverpro": "https://api.quicksilverpro.io/v1/chat/completions",
    "together": "https://api.together.xyz/v1/chat/completions",
    "typesafe": "https://api.typesafe.ai/v1/chat/completions",
    "voyageai": "https://api.voyageai.com/v1/embeddings",
    "x-ai": "https://api.x.ai/v1/chat/completions",
    "zai": "https://api.z.ai/api/paas/v4/chat/completions",
    "zhipuai": "https://open.bigmodel.cn/api/paas/v4/chat/completions",
}
NOT_A_COMPANY = "openai-decisions"  # an API of OpenAI at OpenAI's host


def url_of(provider: str) -> str:
    router, _, server = provider.partition("_")
    return f"https://router.huggingface.co/{server}/v1/chat/completions" if router == "huggingface" else URLS[provider]


@pytest.mark.usefixtures("genai_prices")
def test_every_provider_of_genai_prices_is_detected_by_the_host_that_it_lists() -> None:
    from genai_prices.data_snapshot import get_snapshot

    providers = [provider for provider in get_snapshot().providers if provider.id != NOT_A_COMPANY]
    assert len(providers) == 46
    for provider in providers:
        url = url_of(provider.id)
        assert re.match(provider.api_pattern, url), provider.id
        detection = detect(genai.seller(provider).slug, "x", url)
        assert (detection.actual_provider, detection.confidence) == (genai.seller(provider).slug, "exact")
        assert detect("openai", "x", url).actual_provider == genai.seller(provider).slug


def old_installation() -> None:
    """Leaves the database as the release before the rules left it, with one provider that price proposals created."""
    migration.unload(apps_after("0006_plainer_help_texts_and_labels"), connection.schema_editor())
    Provider.objects.create(slug="moonshotai", name="MoonshotAi")


def load() -> None:
    migration.load(apps_after("0006_plainer_help_texts_and_labels"), connection.schema_editor())


def rows() -> tuple[list[Any], list[Any]]:
    ids = {"id", "provider_id", "shipped_values"}
    return tuple(  # type: ignore[return-value]  # of two lists
        [
            {name: value for name, value in row.items() if name not in ids}
            for row in model.objects.order_by("slug").values()
        ]
        for model in (Provider, DetectionRule)
    )


@pytest.mark.django_db
def test_the_migration_run_twice_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before, versions = rows(), (rulebook.read_version(), price_book.read_version())
    load()
    assert (rows(), (rulebook.read_version(), price_book.read_version())) == (before, versions)
    assert capsys.readouterr().out.strip() == "0 providers, 0 detection rules added"


@pytest.mark.django_db
def test_the_migration_adds_what_is_missing_and_keeps_a_provider_that_proposals_created(
    capsys: pytest.CaptureFixture[str],
) -> None:
    providers, rules = rows()
    old_installation()
    version = rulebook.read_version()
    assert (Provider.objects.count(), DetectionRule.objects.count()) == (len(providers) - 16, len(rules) - 61)
    load()
    assert capsys.readouterr().out.strip() == "16 providers, 61 detection rules added"
    assert rulebook.read_version() > version
    created = Provider.objects.get(slug="moonshotai")
    assert (created.name, created.aliases, created.shipped) == ("MoonshotAi", [], False)
    assert DetectionRule.objects.get(slug="host-moonshot.ai").provider == created
    assert rows()[1] == rules
    assert [row for row in rows()[0] if row["slug"] != "moonshotai"] == [
        row for row in providers if row["slug"] != "moonshotai"
    ]


@pytest.mark.django_db
def test_the_migration_adds_no_second_provider_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    old_installation()
    Provider.objects.create(slug="zed", name="Zed", aliases=["Z AI"])
    load()
    assert capsys.readouterr().out.strip() == "15 providers, 58 detection rules added"
    assert not Provider.objects.filter(slug="zai").exists()
    assert not DetectionRule.objects.filter(pattern="z.ai").exists()


@pytest.mark.django_db
def test_the_reverse_removes_only_what_the_migration_adds_and_nothing_depends_on() -> None:
    providers, rules = rows()
    Price.objects.create(
        provider=Provider.objects.get(slug="zai"), pattern="glm", valid_from="2025-01-01", source="test"
    )
    own = Provider.objects.get(slug="voyageai")
    DetectionRule.objects.create(slug="own", evidence="host", pattern="voyage.example", provider=own)
    migration.unload(apps_after("0006_plainer_help_texts_and_labels"), connection.schema_editor())
    removed = {row["slug"] for row in providers} - set(Provider.objects.values_list("slug", flat=True))
    assert removed == set(migration.PROVIDERS) - {"zai", "voyageai"}
    assert DetectionRule.objects.count() == len(rules) + 1 - 61
    assert CatalogVersion.objects.filter(book="rules").exists()
    load()
    assert rows()[0] == providers
    assert [row for row in rows()[1] if row["slug"] != "own"] == rules
