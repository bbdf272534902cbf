"""What becomes of the entries of a LiteLLM price file: ids, units, ways to count; and what is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.costing import Rate
from providers.price_sources import Left, Offer, litellm

USD_EACH = 10**15  # one USD a unit
TWO_USD = 2 * USD_EACH
CHAT = {"litellm_provider": "acme", "mode": "chat"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model_prices.json"


@pytest.fixture
def read(path: Path) -> Any:
    """The offers and what is left of a file with these entries; figures are written as the text that is given."""

    def stated(**entries: dict[str, Any]) -> list[Offer | Left]:
        path.write_text(written(entries), encoding="utf-8")
        return list(litellm.offers(path))

    return stated


def written(entries: dict[str, Any]) -> str:
    """JSON in which a text such as "=1e-06" is a number."""
    text = json.dumps({"sample_spec": {"litellm_provider": "one of ...", "mode": "..."}} | entries)
    for figure in {part.split('"')[0] for part in text.split('"=')[1:]}:
        text = text.replace(f'"={figure}"', figure)
    return text


def priced(found: list[Offer | Left]) -> dict[str, list[tuple[str, str, int, int]]]:
    return {
        f"{offer.provider} {offer.pattern}": [(r.unit, r.variant, r.above, r.nano_per_million) for r in offer.rates]
        for offer in found
        if isinstance(offer, Offer)
    }


def left(found: list[Offer | Left]) -> list[tuple[str, str]]:
    return [(one.model, one.reason) for one in found if isinstance(one, Left)]


class TestTokens:
    def test_an_offer_says_all_that_a_price_needs(self, read: Any) -> None:
        fields = {"input_cost_per_token": "=2.5e-06", "output_cost_per_token": "=1e-05", "max_tokens": 4096}
        assert read(**{"acme/Big-1": CHAT | fields}) == [
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
            ("output_cost_per_reasoning_token", ("reasoning_tokens", "", 0)),
            ("input_cost_per_request", ("requests", "", 0)),
        ],
    )
    def test_each_field_is_one_of_our_units(self, read: Any, field: str, rate: tuple[str, str, int]) -> None:
        found = priced(read(m=CHAT | {"input_cost_per_token": "=1e-6", field: "=3.0e-07"}))
        assert sorted(found["acme m"]) == sorted([("input_tokens", "", 0, 1_000_000_000), (*rate, 300_000_000)])

    def test_a_tier_of_a_list_begins_above_the_lower_end_of_its_range(self, read: Any) -> None:
        tiers = [
            {"range": [0, "=32e3"], "input_cost_per_token": "=1e-6", "output_cost_per_token": "=2e-6"},
            {"range": ["=32000.0", "=128e3"], "input_cost_per_token": "=3e-6", "output_cost_per_token": "=4e-6"},
        ]
        assert priced(read(m=CHAT | {"tiered_pricing": tiers}))["acme m"] == [
            ("input_tokens", "", 0, 1_000_000_000),
            ("input_tokens", "", 32_000, 3_000_000_000),
            ("output_tokens", "", 0, 2_000_000_000),
            ("output_tokens", "", 32_000, 4_000_000_000),
        ]

    def test_a_search_costs_what_it_costs_at_any_size_of_its_context(self, read: Any) -> None:
        sizes = {f"search_context_size_{size}": "=0.01" for size in ("low", "medium", "high")}
        fields = CHAT | {"input_cost_per_token": "=1e-6", "search_context_cost_per_query": sizes}
        assert ("searches", "", 0, USD_EACH // 100) in priced(read(m=fields))["acme m"]
        found = read(m=fields | {"search_context_cost_per_query": sizes | {"search_context_size_low": "=0.005"}})
        assert left(found) == [("m", "offered without: searches priced by the size of their context")]
        assert priced(found) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}

    def test_the_same_counted_in_a_second_way_bills_once(self, read: Any) -> None:
        ways = {"input_cost_per_character": "=2e-7", "input_cost_per_image": "=0.0048", "input_cost_per_second": "=1"}
        found = read(m=CHAT | ways | {"input_cost_per_token": "=1e-6"})
        assert priced(found) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}
        assert left(found) == [("m", "offered by the token: the same counted in a second way")]

    def test_input_by_the_second_beside_output_by_the_token_is_left(self, read: Any) -> None:
        fields = {"input_cost_per_video_per_second": "=0.0005", "output_cost_per_token": "=7.5e-6"}
        assert read(m=CHAT | fields) == [Left("acme", "m", "a unit that an event does not count")]

    def test_an_image_to_embed_is_no_second_way_to_count_tokens(self, read: Any) -> None:
        fields = {"mode": "embedding", "input_cost_per_token": "=8e-7", "input_cost_per_image": "=6e-5"}
        assert priced(read(m=CHAT | fields)) == {
            "acme m": [("images", "", 0, 60_000_000_000), ("input_tokens", "", 0, 800_000_000)]
        }
        assert left(read(m=CHAT | fields | {"input_cost_per_audio_per_second": "=1e-4"})) == [
            ("m", "a unit that an event does not count")
        ]

    def test_cached_audio_has_no_rate_of_its_own(self, read: Any) -> None:
        found = read(m=CHAT | {"input_cost_per_token": "=1e-6", "cache_read_input_audio_token_cost": "=1e-7"})
        assert priced(found) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}
        assert left(found) == [("m", "offered without: a rate of its own for cached audio tokens")]

    def test_two_figures_for_one_unit_are_left(self, read: Any) -> None:
        fields = {"input_cost_per_token": "=1e-6", "cache_read_input_token_cost": "=1e-7"}
        assert left(read(m=CHAT | fields | {"input_cost_per_token_cache_hit": "=2e-7"})) == [
            ("m", "two rates for one unit")
        ]


class TestWhatElseIsSold:
    @pytest.mark.parametrize(
        ("mode", "fields", "category", "rate"),
        [
            ("audio_speech", {"input_cost_per_character": "=1.5e-05"}, "audio", ("characters", 15_000_000_000)),
            ("audio_transcription", {"input_cost_per_second": "=2"}, "audio", ("seconds", TWO_USD)),
            ("image_edit", {"output_cost_per_image": "=0.04"}, "image_edit", ("images", USD_EACH // 25)),
            ("image_generation", {"input_cost_per_image": "=1", "output_cost_per_image": "=2"}, "image", ("images", TWO_USD)),
            ("image_generation", {"input_cost_per_pixel": "=3e-09"}, "image", ("megapixels", 3 * USD_EACH // 1000)),
            ("ocr", {"ocr_cost_per_page": "=0.004"}, "other", ("pages", USD_EACH // 250)),
            ("realtime", {"input_cost_per_second": "=0.0002833333333333333"}, "text", ("seconds", 283_333_333_333)),
            ("rerank", {"input_cost_per_query": "=0.002", "input_cost_per_token": 0}, "other", ("searches", USD_EACH // 500)),
            ("search", {"input_cost_per_query": "=0.008"}, "search", ("searches", USD_EACH // 125)),
            ("video_generation", {"output_cost_per_video_per_second": "=0.1"}, "video", ("seconds", USD_EACH // 10)),
        ],
    )  # fmt: skip
    def test_each_mode_has_its_unit(
        self, read: Any, mode: str, fields: dict[str, str], category: str, rate: tuple[str, int]
    ) -> None:
        (offer,) = read(m=fields | {"litellm_provider": "acme", "mode": mode})
        assert (offer.category, [(r.unit, r.nano_per_million) for r in offer.rates]) == (category, [rate])

    def test_a_resolution_in_the_fields_name_is_a_variant(self, read: Any) -> None:
        fields = {"output_cost_per_second": "=0.05", "output_cost_per_second_1080p": "=0.08"}
        assert priced(read(m=fields | {"litellm_provider": "acme", "mode": "video_generation"}))["acme m"] == [
            ("seconds", "", 0, USD_EACH // 20),
            ("seconds", "resolution=1080p", 0, 2 * USD_EACH // 25),
        ]

    def test_size_and_quality_in_the_id_are_variants_and_pixels_become_images(self, read: Any) -> None:
        image = {"litellm_provider": "openai", "mode": "image_generation"}
        found = read(
            **{
                "hd/1024-x-1792/dall-e-3": image
                | {"input_cost_per_pixel": "=6.5e-08", "output_cost_per_pixel": "=0.0"},
                "standard/512-x-512/dall-e-3": image | {"input_cost_per_image": "=0.04"},
                "1024-x-1024/50-steps/m": image | {"output_cost_per_image": "=0.04"},
                "dall-e-3": image | {"input_cost_per_image": "=0.04"},
            }
        )
        assert priced(found) == {
            "openai dall-e-3": [
                ("images", "quality=,resolution=", 0, USD_EACH // 25),
                ("images", "quality=hd,resolution=1024x1792", 0, 1024 * 1792 * 65 * 10**6),
                ("images", "quality=standard,resolution=512x512", 0, USD_EACH // 25),
            ]
        }
        assert left(found) == [("1024-x-1024/50-steps/m", "a price by the number of steps")]

    def test_images_by_size_beside_tokens_bill_once(self, read: Any) -> None:
        image = {"litellm_provider": "openai", "mode": "image_generation"}
        found = read(
            **{
                "m": image | {"input_cost_per_token": "=1e-6"},
                "low/1024-x-1024/m": image | {"input_cost_per_image": "=0.01"},
            }
        )
        assert priced(found) == {"openai m": [("input_tokens", "", 0, 1_000_000_000)]}
        assert left(found) == [("m", "images priced by size, beside a price for tokens")]

    def test_image_tokens_of_the_output_leave_the_whole_price_but_not_that_by_size(self, read: Any) -> None:
        image = {"litellm_provider": "openai", "mode": "image_generation"}
        found = read(
            **{
                "m": image | {"input_cost_per_token": "=1e-6", "output_cost_per_image_token": "=4e-5"},
                "low/1024-x-1024/m": image | {"input_cost_per_image": "=0.01"},
            }
        )
        assert priced(found) == {"openai m": [("images", "quality=low,resolution=1024x1024", 0, USD_EACH // 100)]}
        assert left(found) == [("m", "a unit that an event does not count")]


class TestZeroIsNotKnown:
    def test_nothing_above_zero_is_no_price_unless_the_id_says_so(self, read: Any) -> None:
        zero = CHAT | {"input_cost_per_token": 0, "output_cost_per_token": "=0.0"}
        assert read(m=zero, n=CHAT) == [
            Left("acme", "m", "no price above zero"),
            Left("acme", "n", "no price above zero"),
        ]
        assert priced(read(**{"a/m:free": zero})) == {
            "acme a/m:free": [("input_tokens", "", 0, 0), ("output_tokens", "", 0, 0)]
        }

    def test_a_zero_beside_a_price_is_no_rate(self, read: Any) -> None:
        fields = {
            "input_cost_per_token": "=1e-6",
            "cache_creation_input_token_cost": "=0.0",
            "output_cost_per_token": 0,
        }
        assert priced(read(m=CHAT | fields)) == {"acme m": [("input_tokens", "", 0, 1_000_000_000)]}


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
    def test_the_id_is_the_one_that_the_company_itself_knows(
        self, read: Any, company: str, key: str, expected: str
    ) -> None:
        fields = {"litellm_provider": company, "mode": "chat", "input_cost_per_token": "=1e-6"}
        assert list(priced(read(**{key: fields}))) == [expected]

    def test_ids_that_our_own_rules_derive_at_the_same_price_are_not_repeated(self, read: Any) -> None:
        one, two = (CHAT | {"input_cost_per_token": figure} for figure in ("=1e-6", "=2e-6"))
        found = read(**{"m-1": one, "m-1-2025-05-14": one, "m-1-20250601": two, "m-2-20250601": one})
        assert list(priced(found)) == ["acme m-1", "acme m-1-20250601", "acme m-2-20250601"]

    def test_one_offer_for_one_id_and_a_second_price_is_left(self, read: Any) -> None:
        one, two = ({"mode": "chat", "input_cost_per_token": figure} for figure in ("=1e-6", "=2e-6"))
        found = read(
            **{
                "azure_ai/m": two | {"litellm_provider": "azure_ai"},
                "azure/m": one | {"litellm_provider": "azure"},
                "gemini/g": one | {"litellm_provider": "gemini"},
                "g": one | {"litellm_provider": "vertex_ai-language-models"},
            }
        )
        assert priced(found) == {
            "azure m": [("input_tokens", "", 0, 1_000_000_000)],
            "google g": [("input_tokens", "", 0, 1_000_000_000)],
        }
        assert left(found) == [("m", "a second price for one id of one company")]

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
    def test_an_entry_without_company_or_mode_is_left(self, read: Any, fields: Any) -> None:
        found = read(bad=fields, m=CHAT | {"input_cost_per_token": "=1e-6"})
        assert left(found) == [("bad", "no model of a company and a mode that are known")]
        assert list(priced(found)) == ["acme m"]

    @pytest.mark.parametrize("key", ["", "acme/", "acme/models/", "acme/*/m", "x" * 201])
    def test_what_is_no_id_of_a_model_is_left(self, read: Any, key: str) -> None:
        found = read(**{key: CHAT | {"input_cost_per_token": "=1e-6"}})
        assert found == [Left("acme", key[:200], "no model of a company and a mode that are known")]


class TestFigures:
    @pytest.mark.parametrize("figure", ["=1e-06", "=0.000001", "=0.0000010", "=1.0E-6"])
    def test_they_are_read_as_their_text(self, read: Any, figure: str) -> None:
        assert priced(read(m=CHAT | {"input_cost_per_token": figure}))["acme m"][0][3] == 1_000_000_000

    def test_what_a_float_would_not_hold(self, read: Any) -> None:
        exact = priced(read(m=CHAT | {"input_cost_per_token": "=9223.372036854775807"}))
        assert exact["acme m"][0][3] == 2**63 - 1

    @pytest.mark.parametrize("figure", ["=-1e-6", "=1e30", "=1e-30", "=1e1000000", "1e-6", True, None, ["=1e-6"], {}])
    def test_what_no_rate_holds_is_left(self, read: Any, figure: Any) -> None:
        assert read(m=CHAT | {"input_cost_per_token": figure}) == [Left("acme", "m", "a figure that no rate holds")]

    @pytest.mark.parametrize(
        "tiers",
        [{}, [1], [{"input_cost_per_token": "=1e-6"}], [{"range": []}], [{"range": ["=0.5"]}], [{"range": ["a"]}]],
    )
    def test_tiers_without_a_range_of_tokens_are_left(self, read: Any, tiers: Any) -> None:
        assert read(m=CHAT | {"tiered_pricing": tiers}) == [Left("acme", "m", "a unit that an event does not count")]


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
            (b'{"m": {"litellm_provider": "x", "litellm_provider": "y"}}', "stands twice"),
            (b'{"m": {"litellm_provider": "x", "a": ' + b"[" * 70 + b"]" * 70 + b"}}", "64 levels"),
            (b'{"m": {"litellm_provider": "\xff"}}', "not UTF-8"),
        ],
    )
    def test_what_is_no_price_file_is_refused_with_its_reason(self, path: Path, body: bytes, reason: str) -> None:
        path.write_bytes(body)
        with pytest.raises(ValueError, match=rf"model_prices.json is not a LiteLLM price file: .*{reason}"):
            litellm.offers(path)

    def test_a_file_too_large_to_be_one_is_not_read(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(litellm, "MOST_BYTES", 2**20)
        path.write_bytes(b" " * (2**20 + 1))
        with pytest.raises(ValueError, match="larger than 1 MiB"):
            litellm.offers(path)

    def test_a_file_that_is_not_there(self, path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            litellm.offers(path)
