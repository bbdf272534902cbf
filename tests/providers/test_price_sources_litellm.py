"""Offers made from a LiteLLM price file (ids, units, variants), and the entries omitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.costing import Rate
from providers.price_sources import Offer, Omission, litellm

USD_PER_UNIT = 10**15  # one USD per unit, in nano-USD per million units
TWO_USD = 2 * USD_PER_UNIT
CHAT = {"litellm_provider": "acme", "mode": "chat"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model_prices.json"


@pytest.fixture
def read_offers(path: Path) -> Any:
    """Writes the entries to a price file and returns its offers and omissions; `"=1e-06"` becomes the number 1e-06."""

    def write_and_read(**entries: dict[str, Any]) -> list[Offer | Omission]:
        path.write_text(as_json(entries), encoding="utf-8")
        return list(litellm.offers(path))

    return write_and_read


def as_json(entries: dict[str, Any]) -> str:
    """The entries as JSON, in which a string such as "=1e-06" becomes a number."""
    text = json.dumps({"sample_spec": {"litellm_provider": "one of ...", "mode": "..."}} | entries)
    for figure in {part.split('"')[0] for part in text.split('"=')[1:]}:
        text = text.replace(f'"={figure}"', figure)
    return text


def priced(statements: list[Offer | Omission]) -> dict[str, list[tuple[str, str, int, int]]]:
    return {
        f"{offer.provider} {offer.pattern}": [(r.unit, r.variant, r.above, r.nano_per_million) for r in offer.rates]
        for offer in statements
        if isinstance(offer, Offer)
    }


def lacking(statements: list[Offer | Omission]) -> dict[str, tuple[str, ...]]:
    """What each offer of a model is offered without."""
    return {offer.pattern: offer.without for offer in statements if isinstance(offer, Offer)}


def omissions(statements: list[Offer | Omission]) -> list[tuple[str, str]]:
    return [(statement.model, statement.reason) for statement in statements if isinstance(statement, Omission)]


class TestTokens:
    def test_an_offer_has_every_field_of_a_price(self, read_offers: Any) -> None:
        fields = {"input_cost_per_token": "=2.5e-06", "output_cost_per_token": "=1e-05", "max_tokens": 4096}
        assert read_offers(**{"acme/Big-1": CHAT | fields}) == [
            Offer(
                provider="acme",
                provider_name="Acme",
                pattern="big-1",
                aliases=(),
                category="text",
                valid_from=None,
                rates=(Rate("input_tokens", "", 0, 2_500_000_000), Rate("output_tokens", "", 0, 10_000_000_000)),
                source="litellm model_prices.json",
            )
        ]

    @pytest.mark.parametrize(
        ("field", "rate"),
        [
            ("cache_read_input_token_cost", ("cached_input_tokens", "", 0)),
            ("input_cost_per_token_cache_hit", ("cached_input_tokens", "", 0)),
            ("cache_creation_input_token_cost", ("cache_write_tokens", "", 0)),
            ("cache_creation_input_token_cost_above_1hr", ("cache_write_1h_tokens", "", 0)),
            ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", ("cache_write_1h_tokens", "", 200_000)),
            ("input_cost_per_token_above_128k_tokens", ("input_tokens", "", 128_000)),
            ("input_cost_per_token_batches", ("input_tokens", "service_tier=batch", 0)),
            ("input_cost_per_token_flex", ("input_tokens", "service_tier=flex", 0)),
            ("output_cost_per_token_above_272k_tokens_priority", ("output_tokens", "service_tier=priority", 272_000)),
            ("input_cost_per_audio_token", ("input_audio_tokens", "", 0)),
            ("input_cost_per_image_token", ("image_tokens", "", 0)),
            ("output_cost_per_audio_token", ("output_audio_tokens", "", 0)),
            ("output_cost_per_image_token", ("output_image_tokens", "", 0)),
            ("input_cost_per_video_token", ("input_video_tokens", "", 0)),
            ("cache_read_input_audio_token_cost", ("cached_audio_tokens", "", 0)),
            ("cache_read_input_image_token_cost", ("cached_image_tokens", "", 0)),
            ("output_cost_per_reasoning_token", ("reasoning_tokens", "", 0)),
            ("input_cost_per_request", ("requests", "", 0)),
        ],
    )
    def test_each_field_maps_to_one_of_our_units(
        self, read_offers: Any, field: str, rate: tuple[str, str, int]
    ) -> None:
        prices = priced(read_offers(m=CHAT | {"input_cost_per_token": "=1e-6", field: "=3.0e-07"}))
        assert sorted(prices["acme m"]) == sorted([("input_tokens", "", 0, 1_000_000_000), (*rate, 300_000_000)])

    def test_a_listed_tier_begins_above_the_lower_end_of_its_range(self, read_offers: Any) -> None:
        tiers = [
            {"range": [0, "=32e3"], "input_cost_per_token": "=1e-6", "output_cost_per_token": "=2e-6"},
            {"range": ["=32000.0", "=128e3"], "input_cost_per_token": "=3e-6", "output_cost_per_token": "=4e-6"},
        ]
        assert priced(read_offers(m=CHAT | {"tiered_pricing": tiers}))["acme m"] == [
            ("input_tokens", "", 0, 1_000_000_000),
            ("input_tokens", "", 32_000, 3_000_000_000),
            ("output_tokens", "", 0, 2_000_000_000),
            ("output_tokens", "", 32_000, 4_000_000_000),
        ]

    def test_a_search_is_priced_by_context_size_unless_every_size_costs_the_same(self, read_offers: Any) -> None:
        sizes = {f"search_context_size_{size}": "=0.01" for size in ("low", "medium", "high")}
        fields = CHAT | {"input_cost_per_token": "=1e-6", "search_context_cost_per_query": sizes}
        assert ("searches", "", 0, USD_PER_UNIT // 100) in priced(read_offers(m=fields))["acme m"]
        statements = read_offers(
            m=fields | {"search_context_cost_per_query": sizes | {"search_context_size_low": "=0.005"}}
        )
        assert omissions(statements) == []
        assert priced(statements)["acme m"] == [
            ("input_tokens", "", 0, 1_000_000_000),
            ("searches", "", 0, USD_PER_UNIT // 100),
            ("searches", "search_context=high", 0, USD_PER_UNIT // 100),
            ("searches", "search_context=low", 0, USD_PER_UNIT // 200),
        ]

    def test_usage_priced_in_two_ways_bills_once(self, read_offers: Any) -> None:
        ways = {"input_cost_per_character": "=2e-7", "input_cost_per_image": "=0.0048", "input_cost_per_second": "=1"}
        statements = read_offers(m=CHAT | ways | {"input_cost_per_token": "=1e-6"})
        assert priced(statements) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}
        assert (omissions(statements), lacking(statements)) == ([], {"m": ()})

    def test_input_by_the_second_with_output_by_the_token_is_omitted(self, read_offers: Any) -> None:
        fields = {"input_cost_per_video_per_second": "=0.0005", "output_cost_per_token": "=7.5e-6"}
        assert read_offers(m=CHAT | fields) == [Omission("acme", "m", "a unit that events do not count")]

    def test_a_price_per_embedded_image_is_kept_next_to_the_price_per_token(self, read_offers: Any) -> None:
        fields = {"mode": "embedding", "input_cost_per_token": "=8e-7", "input_cost_per_image": "=6e-5"}
        assert priced(read_offers(m=CHAT | fields)) == {
            "acme m": [("images", "", 0, 60_000_000_000), ("input_tokens", "", 0, 800_000_000)]
        }
        assert lacking(read_offers(m=CHAT | fields | {"input_cost_per_audio_per_second": "=1e-4"})) == {
            "m": ("input_cost_per_audio_per_second",)
        }

    def test_two_rates_for_one_unit_are_omitted(self, read_offers: Any) -> None:
        fields = {"input_cost_per_token": "=1e-6", "cache_read_input_token_cost": "=1e-7"}
        assert omissions(read_offers(m=CHAT | fields | {"input_cost_per_token_cache_hit": "=2e-7"})) == [
            ("m", "two rates for one unit")
        ]


class TestOtherModes:
    @pytest.mark.parametrize(
        ("mode", "fields", "category", "rate"),
        [
            ("audio_speech", {"input_cost_per_character": "=1.5e-05"}, "audio", ("characters", 15_000_000_000)),
            ("audio_transcription", {"input_cost_per_second": "=2"}, "audio", ("seconds", TWO_USD)),
            ("image_edit", {"output_cost_per_image": "=0.04"}, "image_edit", ("images", USD_PER_UNIT // 25)),
            ("image_generation", {"input_cost_per_image": "=1", "output_cost_per_image": "=2"}, "image", ("images", TWO_USD)),
            ("image_generation", {"input_cost_per_pixel": "=3e-09"}, "image", ("megapixels", 3 * USD_PER_UNIT // 1000)),
            ("ocr", {"ocr_cost_per_page": "=0.004"}, "other", ("pages", USD_PER_UNIT // 250)),
            ("realtime", {"input_cost_per_second": "=0.0002833333333333333"}, "text", ("seconds", 283_333_333_333)),
            (
                "rerank", {"input_cost_per_query": "=0.002", "input_cost_per_token": 0},
                "other", ("searches", USD_PER_UNIT // 500),
            ),
            ("search", {"input_cost_per_query": "=0.008"}, "search", ("searches", USD_PER_UNIT // 125)),
            ("video_generation", {"output_cost_per_video_per_second": "=0.1"}, "video", ("seconds", USD_PER_UNIT // 10)),
        ],
    )  # fmt: skip
    def test_each_mode_has_its_unit(
        self, read_offers: Any, mode: str, fields: dict[str, str], category: str, rate: tuple[str, int]
    ) -> None:
        (offer,) = read_offers(m=fields | {"litellm_provider": "acme", "mode": mode})
        assert (offer.category, [(r.unit, r.nano_per_million) for r in offer.rates]) == (category, [rate])

    def test_a_resolution_in_the_field_name_becomes_a_variant(self, read_offers: Any) -> None:
        fields = {"output_cost_per_second": "=0.05", "output_cost_per_second_1080p": "=0.08"}
        fields |= {"output_cost_per_second_4K": "=0.1"}
        assert priced(read_offers(m=fields | {"litellm_provider": "acme", "mode": "video_generation"}))["acme m"] == [
            ("seconds", "", 0, USD_PER_UNIT // 20),
            ("seconds", "resolution=1080p", 0, 2 * USD_PER_UNIT // 25),
            ("seconds", "resolution=4k", 0, USD_PER_UNIT // 10),
        ]

    def test_size_and_quality_in_the_id_become_variants_and_pixels_become_images(self, read_offers: Any) -> None:
        image = {"litellm_provider": "openai", "mode": "image_generation"}
        statements = read_offers(
            **{
                "hd/1024-x-1792/dall-e-3": image
                | {"input_cost_per_pixel": "=6.5e-08", "output_cost_per_pixel": "=0.0"},
                "standard/512-x-512/dall-e-3": image | {"input_cost_per_image": "=0.04"},
                "1024-x-1024/50-steps/m": image | {"output_cost_per_image": "=0.04"},
                "dall-e-3": image | {"input_cost_per_image": "=0.04"},
            }
        )
        assert priced(statements) == {
            "openai dall-e-3": [
                ("images", "quality=,resolution=", 0, USD_PER_UNIT // 25),
                ("images", "quality=hd,resolution=1024x1792", 0, 1024 * 1792 * 65 * 10**6),
                ("images", "quality=standard,resolution=512x512", 0, USD_PER_UNIT // 25),
            ]
        }
        assert omissions(statements) == [("1024-x-1024/50-steps/m", "a price that depends on the number of steps")]

    def test_images_priced_by_size_are_named_as_lacking_if_tokens_are_priced(self, read_offers: Any) -> None:
        image = {"litellm_provider": "openai", "mode": "image_generation"}
        statements = read_offers(
            **{
                "m": image | {"input_cost_per_token": "=1e-6"},
                "low/1024-x-1024/m": image | {"input_cost_per_image": "=0.01"},
            }
        )
        assert priced(statements) == {"openai m": [("input_tokens", "", 0, 1_000_000_000)]}
        assert lacking(statements) == {"m": ("images priced by size, in addition to token prices",)}


class TestZero:
    def test_a_price_of_zero_counts_only_if_the_id_says_free(self, read_offers: Any) -> None:
        zero = CHAT | {"input_cost_per_token": 0, "output_cost_per_token": "=0.0"}
        assert read_offers(m=zero, n=CHAT) == [
            Omission("acme", "m", "no price above zero"),
            Omission("acme", "n", "no price above zero"),
        ]
        assert priced(read_offers(**{"a/m:free": zero})) == {
            "acme a/m:free": [("input_tokens", "", 0, 0), ("output_tokens", "", 0, 0)]
        }

    def test_a_zero_next_to_a_price_is_no_rate(self, read_offers: Any) -> None:
        fields = {
            "input_cost_per_token": "=1e-6",
            "cache_creation_input_token_cost": "=0.0",
            "output_cost_per_token": 0,
        }
        assert priced(read_offers(m=CHAT | fields)) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}


class TestIds:
    @pytest.mark.parametrize(
        ("company", "key", "expected"),
        [
            ("azure", "azure/eu/gpt-4o-2024-08-06", "azure eu/gpt-4o-2024-08-06"),
            ("azure_ai", "azure_ai/gpt-4o", "azure gpt-4o"),
            ("bedrock_converse", "us.anthropic.claude-x-v1:0", "bedrock us.anthropic.claude-x-v1:0"),
            ("bedrock", "bedrock/us-east-1/anthropic.claude-v2", "bedrock us-east-1/anthropic.claude-v2"),
            ("vertex_ai-anthropic_models", "vertex_ai/claude-x@20250514", "google claude-x@20250514"),
            ("vertex_ai-language-models", "gemini-x", "google gemini-x"),
            ("gemini", "gemini/gemini-x", "google gemini-x"),
            ("fireworks_ai", "fireworks_ai/accounts/fireworks/models/Llama-X", "fireworks llama-x"),
            ("openrouter", "openrouter/openai/gpt-4o:extended", "openrouter openai/gpt-4o:extended"),
            ("groq", "groq/openai/gpt-oss-20b", "groq openai/gpt-oss-20b"),
            ("text-completion-openai", "davinci-002", "openai davinci-002"),
            ("some_one", "some_one/m", "some_one m"),
        ],
    )
    def test_the_id_is_the_one_of_the_provider_itself(
        self, read_offers: Any, company: str, key: str, expected: str
    ) -> None:
        fields = {"litellm_provider": company, "mode": "chat", "input_cost_per_token": "=1e-6"}
        assert list(priced(read_offers(**{key: fields}))) == [expected]

    def test_ids_that_our_own_rules_derive_at_the_same_price_are_not_offered_again(self, read_offers: Any) -> None:
        cheaper, dearer = (CHAT | {"input_cost_per_token": figure} for figure in ("=1e-6", "=2e-6"))
        statements = read_offers(
            **{"m-1": cheaper, "m-1-2025-05-14": cheaper, "m-1-20250601": dearer, "m-2-20250601": cheaper}
        )
        assert list(priced(statements)) == ["acme m-1", "acme m-1-20250601", "acme m-2-20250601"]

    def test_an_id_has_one_offer_and_a_second_price_is_named_as_lacking(self, read_offers: Any) -> None:
        cheaper, dearer = ({"mode": "chat", "input_cost_per_token": figure} for figure in ("=1e-6", "=2e-6"))
        statements = read_offers(
            **{
                "azure_ai/m": dearer | {"litellm_provider": "azure_ai"},
                "azure/m": cheaper | {"litellm_provider": "azure"},
                "gemini/g": cheaper | {"litellm_provider": "gemini"},
                "g": cheaper | {"litellm_provider": "vertex_ai-language-models"},
            }
        )
        assert priced(statements) == {
            "azure m": [("input_tokens", "", 0, 1_000_000_000)],
            "google g": [("input_tokens", "", 0, 1_000_000_000)],
        }
        assert lacking(statements) == {"m": ("a second price for the same model",), "g": ()}

    @pytest.mark.parametrize(
        "fields",
        [
            {"mode": "chat"},
            {"litellm_provider": "acme"},
            {"litellm_provider": "acme", "mode": "vector_store"},
            {"litellm_provider": 7, "mode": "chat"},
            {"litellm_provider": "acme", "mode": ["chat"]},
            [],
            "text",
        ],
    )
    def test_an_entry_without_provider_or_mode_is_omitted(self, read_offers: Any, fields: Any) -> None:
        statements = read_offers(bad=fields, m=CHAT | {"input_cost_per_token": "=1e-6"})
        assert omissions(statements) == [("bad", "an unknown provider or mode, or an unusable model id")]
        assert list(priced(statements)) == ["acme m"]

    @pytest.mark.parametrize("key", ["", "acme/", "acme/models/", "acme/*/m", "x" * 201])
    def test_an_invalid_model_id_is_omitted(self, read_offers: Any, key: str) -> None:
        statements = read_offers(**{key: CHAT | {"input_cost_per_token": "=1e-6"}})
        assert statements == [Omission("acme", key[:200], "an unknown provider or mode, or an unusable model id")]


class TestAmounts:
    @pytest.mark.parametrize("figure", ["=1e-06", "=0.000001", "=0.0000010", "=1.0E-6"])
    def test_every_notation_of_an_amount_is_read_exactly(self, read_offers: Any, figure: str) -> None:
        assert priced(read_offers(m=CHAT | {"input_cost_per_token": figure}))["acme m"][0][3] == 1_000_000_000

    def test_an_amount_with_more_digits_than_a_float_is_read_exactly(self, read_offers: Any) -> None:
        exact = priced(read_offers(m=CHAT | {"input_cost_per_token": "=9223.372036854775807"}))
        assert exact["acme m"][0][3] == 2**63 - 1

    @pytest.mark.parametrize("figure", ["=-1e-6", "=1e30", "=1e-30", "=1e1000000", "1e-6", True, None, ["=1e-6"], {}])
    def test_an_invalid_amount_is_omitted(self, read_offers: Any, figure: Any) -> None:
        assert read_offers(m=CHAT | {"input_cost_per_token": figure}) == [Omission("acme", "m", "a price out of range")]

    @pytest.mark.parametrize(
        "tiers",
        [{}, [1], [{"input_cost_per_token": "=1e-6"}], [{"range": []}], [{"range": ["=0.5"]}], [{"range": ["a"]}]],
    )
    def test_tiers_without_a_token_range_are_omitted(self, read_offers: Any, tiers: Any) -> None:
        assert read_offers(m=CHAT | {"tiered_pricing": tiers}) == [
            Omission("acme", "m", "a unit that events do not count")
        ]


class TestTheFile:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "not JSON"),
            (b"[]", "not a JSON object"),
            (b"{}", "no entry names a litellm_provider"),
            (b'{"m": {"price": 1}}', "no entry names a litellm_provider"),
            (b'{"m": {"litellm_provider": "x", "a": NaN}}', "NaN is not JSON"),
            (b'{"m": {"litellm_provider": "x", "a": 1e9999999999999999999}}', "out of range"),
            (b'{"m": {"litellm_provider": "x", "a": ' + b"9" * 41 + b"}}", "more than 40 digits"),
            (b'{"m": {"litellm_provider": "x", "litellm_provider": "y"}}', "occurs twice"),
            (b'{"m": {"litellm_provider": "x", "a": ' + b"[" * 70 + b"]" * 70 + b"}}", "64 levels"),
            (b'{"m": {"litellm_provider": "\xff"}}', "not UTF-8"),
        ],
    )
    def test_a_file_of_another_format_is_refused_with_the_reason(self, path: Path, body: bytes, reason: str) -> None:
        path.write_bytes(body)
        with pytest.raises(ValueError, match=rf"model_prices.json is not a LiteLLM price file: .*{reason}"):
            litellm.offers(path)

    def test_a_file_that_is_too_large_is_not_read(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(litellm, "MAX_FILE_BYTES", 2**20)
        path.write_bytes(b" " * (2**20 + 1))
        with pytest.raises(ValueError, match="larger than 1 MiB"):
            litellm.offers(path)

    def test_a_missing_file_is_an_error(self, path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            litellm.offers(path)
