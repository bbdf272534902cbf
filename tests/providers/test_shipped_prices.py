"""The shipped prices: each amount through the real lookup, and a loader that overwrites nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from providers import price_book, price_edits, shipped_prices
from providers.costing import PricedModel, Rate, cost
from providers.models import Price, PriceRate, Provider
from providers.quantities import Quantities, Variant
from tests.providers.historical_apps import apps_after

DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def price_of(provider: str, model: str) -> PricedModel:
    price = price_book.current().find(provider, model, DAY)
    assert price is not None
    return price


@pytest.mark.django_db
class TestShipped:
    @pytest.mark.parametrize(
        ("provider", "model", "usage", "usd_nano"),
        [
            ("google", "gemini-2.5-pro", {"input_tokens": 1000, "output_tokens": 100}, 2_250_000),
            ("google", "gemini-2.5-pro", {"input_tokens": 200_001, "output_tokens": 100}, 501_502_500),
            ("google", "gemini-2.5-flash", {"input_tokens": 1000, "output_tokens": 100}, 550_000),
            ("google", "gemini-2.5-flash-lite", {"input_tokens": 1000, "output_tokens": 100}, 140_000),
            ("google", "gemini-1.5-flash", {"input_tokens": 128_000, "output_tokens": 100}, 9_630_000),
            ("google", "gemini-1.5-flash", {"input_tokens": 128_001, "output_tokens": 100}, 19_260_150),
            ("google", "gemini-1.5-flash-8b", {"input_tokens": 1000, "output_tokens": 1000}, 187_500),
            ("google", "gemini-1.5-pro", {"input_tokens": 1000, "output_tokens": 1000}, 6_250_000),
            ("google", "gemini-embedding-001", {"input_tokens": 1000}, 150_000),
            ("openai", "gpt-4o", {"input_tokens": 1000, "output_tokens": 100}, 3_500_000),
            ("openai", "gpt-4o-mini-2024-07-18", {"input_tokens": 1000, "output_tokens": 100}, 210_000),
            ("anthropic", "claude-3.5-sonnet", {"input_tokens": 1000, "output_tokens": 100}, 4_500_000),
            ("anthropic", "claude-3-5-sonnet-20241022", {"input_tokens": 1000, "output_tokens": 100}, 4_500_000),
            ("huggingface", "openai/gpt-oss-120b:groq", {"input_tokens": 1000, "output_tokens": 100}, 1_300_000),
            ("huggingface", "gpt-oss-120b", {"input_tokens": 1000, "output_tokens": 100}, 1_300_000),
            ("wavespeed", "openai/gpt-oss-120b", {"input_tokens": 1000, "output_tokens": 100}, 660_000),
            ("wavespeed", "openai/gpt-oss-20b", {"input_tokens": 1000, "output_tokens": 100}, 220_000),
            ("google", "gemini-grounding-search", {"category": "search"}, 35_000_000),
            ("tavily", "tavily-search", {"category": "search"}, 1_000_000),
            ("serper", "serper-search", {"category": "search"}, 1_000_000),
            ("exa", "metaphor-search", {"category": "search"}, 3_000_000),
            ("exa", "exa-search", {"category": "search"}, 5_000_000),
            ("firecrawl", "firecrawl-extract", {"category": "crawl"}, 2_000_000),
            ("firecrawl", "firecrawl-extract", {"category": "crawl", "pages": 7}, 14_000_000),
            ("stability", "stable-diffusion-xl", {"category": "image"}, 40_000_000),
            ("wavespeed", "qwen-image", {"category": "image"}, 30_000_000),
            ("wavespeed", "ideogram-ai/ideogram-v3-turbo", {"category": "image", "images": 2}, 100_000_000),
            ("wavespeed", "qwen-edit", {"category": "image_edit"}, 20_000_000),
            ("wavespeed", "qwen-edit-plus", {"category": "image_edit"}, 20_000_000),
            ("wavespeed", "flux-kontext-pro", {"category": "image_edit"}, 40_000_000),
            ("huggingface", "tencent/HunyuanVideo", {"category": "video"}, 100_000_000),
            ("wavespeed", "wan-2.5", {"category": "video"}, 250_000_000),
            ("wavespeed", "alibaba/wan-2.5", {"category": "video"}, 250_000_000),
            ("wavespeed", "alibaba/wan-2.5/text-to-video", {"category": "video"}, 250_000_000),
            ("wavespeed", "kling-v2.5-turbo-std-5s", {"category": "video"}, 210_000_000),
            ("wavespeed", "kling-v2.5-turbo-std-10s", {"category": "video"}, 420_000_000),
            ("wavespeed", "wavespeed-ai/infinitetalk", {"category": "video"}, 300_000_000),
            ("wavespeed", "seedance-1.5-pro", {"category": "video"}, 400_000_000),
            ("wavespeed", "hunyuan-video-1.5", {"category": "video", "seconds": 5_000_000}, 100_000_000),
            ("wavespeed", "minimax/speech-02-hd", {"category": "audio", "characters": 1500}, 75_000_000),
            ("wavespeed", "minimax/voice-clone", {"category": "audio"}, 500_000_000),
        ],
    )
    def test_a_call_costs_what_the_earlier_system_charged(
        self, provider: str, model: str, usage: dict[str, Any], usd_nano: int
    ) -> None:
        assert cost(price_of(provider, model), Quantities(**usage)).total_nano == usd_nano

    @pytest.mark.parametrize(("resolution", "nano"), [("480p", 250), ("720p", 500), ("1080p", 750)])
    @pytest.mark.parametrize("task", ["image-to-video", "text-to-video"])
    def test_wan_is_priced_by_the_second_and_resolution(self, task: str, resolution: str, nano: int) -> None:
        sent = Quantities(seconds=5_000_000, variant=Variant(resolution), category="video")
        assert cost(price_of("wavespeed", f"alibaba/wan-2.5/{task}"), sent).total_nano == nano * 10**6

    @pytest.mark.parametrize(("provider", "model"), [("local", "llama3:8b"), ("local", ""), ("openrouter", "x/y:free")])
    def test_a_model_that_nobody_bills_is_free_not_unpriced(self, provider: str, model: str) -> None:
        result = cost(price_of(provider, model), Quantities(input_tokens=9))
        assert (result.total_nano, result.source) == (0, "free")

    def test_there_is_no_price_before_the_first_day_or_for_an_unknown_model(self) -> None:
        prices = price_book.current()
        assert prices.find("openai", "gpt-4o", date(2024, 12, 31)) is None
        assert prices.find("openai", "gpt-9", DAY) is None

    def test_the_source_names_the_earlier_system(self) -> None:
        sources = set(
            Price.objects.exclude(provider__slug__in=["local", "openrouter"]).values_list("source", flat=True)
        )
        assert sources == {"earlier system"}

    def test_loading_again_changes_nothing(self) -> None:
        before = (list(Price.objects.values()), list(PriceRate.objects.values()), price_book.read_version())
        assert shipped_prices.load(at=NOW) == (0, 0)
        assert (list(Price.objects.values()), list(PriceRate.objects.values()), price_book.read_version()) == before

    def test_loading_adds_missing_prices_and_keeps_an_operators_edit(self) -> None:
        Price.objects.filter(pattern="gpt-4o").delete()
        edited = Price.objects.get(pattern="gpt-4o-mini")
        price_edits.add_revision(price=edited, rates=[PriceRate(unit="input_tokens", nano_per_million=5)])
        assert shipped_prices.load(at=NOW) == (1, 0)
        assert cost(price_of("openai", "gpt-4o"), Quantities(input_tokens=1000)).total_nano == 2_500_000
        assert price_of("openai", "gpt-4o-mini").rates == (Rate("input_tokens", "", 0, 5),)
        assert sorted(Price.objects.filter(pattern="gpt-4o-mini").values_list("revision", "shipped")) == [
            (1, True),
            (2, False),
        ]

    def test_prices_of_a_removed_provider_are_not_loaded(self) -> None:
        Price.objects.filter(provider__slug="tavily").delete()
        Provider.objects.filter(slug="tavily").update(slug="tavily-old")
        assert shipped_prices.load(at=NOW) == (0, 0)

    def test_the_migration_runs_forward_twice_and_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        migration, editor = (
            import_module("providers.migrations.0003_shipped_prices"),
            SimpleNamespace(connection=connection),
        )
        before = stored_rates()
        own = price_edits.add_revision(price=Price.objects.get(pattern="gpt-4o"), rates=[])
        migration.load(apps_after("0004_price_proposals"), editor)
        assert [row for row in stored_rates() if row not in before] == []
        migration.unload(apps_after("0004_price_proposals"), editor)
        assert list(Price.objects.values_list("pk", flat=True)) == [own.pk]
        own.delete()
        migration.load(apps_after("0004_price_proposals"), editor)
        migration.load(apps_after("0004_price_proposals"), editor)
        assert stored_rates() == before
        assert capsys.readouterr().out == "  0 prices added  38 prices added  0 prices added"


def stored_rates() -> list[str]:
    """Every rate with its price, without ids and creation times."""
    columns = ("provider__slug", "pattern", "aliases", "category", "valid_from", "revision", "source", "shipped")
    rates = PriceRate.objects.values_list(
        *(f"price__{column}" for column in columns), "unit", "variant", "above", "nano_per_million"
    )
    return sorted(map(str, rates))
