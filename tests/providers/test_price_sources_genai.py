"""Offers made from the models of genai-prices (ids, rates, dates, service tiers), and the models omitted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from providers import model_ids
from providers.costing import Rate
from providers.detection import CATEGORIES
from providers.models import SLUG
from providers.price_sources import Offer, Omission, genai
from providers.quantities import UNITS

USD_PER_MTOK = 10**9
pytestmark = pytest.mark.usefixtures("genai_prices")


def equals(*ids: str) -> Any:
    from genai_prices import types

    clauses: list[Any] = [types.ClauseEquals(text) for text in ids]
    return clauses[0] if len(clauses) == 1 else types.ClauseOr(clauses)


def price(**figures: Any) -> Any:
    from genai_prices import types

    return types.ModelPrice(
        **{key: Decimal(figure) if isinstance(figure, str) else figure for key, figure in figures.items()}
    )


def tiered(base: str, *tiers: tuple[int, str]) -> Any:
    from genai_prices import types

    return types.TieredPrices(Decimal(base), [types.Tier(start, Decimal(usd)) for start, usd in tiers])


def since(day: date, **figures: Any) -> Any:
    from genai_prices import types

    return types.ConditionalPrice(types.StartDateConstraint(day), prices=price(**figures))


def always(**figures: Any) -> Any:
    from genai_prices import types

    return types.ConditionalPrice(prices=price(**figures))


def between(start: time, end: time, **figures: Any) -> Any:
    from genai_prices import types

    return types.ConditionalPrice(types.TimeOfDateConstraint(start, end), prices=price(**figures))


def when(condition: dict[str, str], day: date | None = None, **figures: Any) -> Any:
    from genai_prices import types

    return types.PriceVariant(condition, price(**figures), types.StartDateConstraint(day) if day else None)


def model(id_: str, match: Any = None, prices: Any = None, variants: Any = None) -> Any:
    from genai_prices import types

    prices = price(input_mtok="1") if prices is None else prices
    return types.ModelInfo(id=id_, match=match or equals(id_), prices=prices, price_variants=variants)


def statements_of(*models: Any, provider: str = "acme") -> list[Offer | Omission]:
    from genai_prices import types

    seller = types.Provider(id=provider, name="Acme", api_pattern="", models=list(models))
    return list(genai._list_offers([seller], "genai-prices 9"))


def offered(*models: Any, provider: str = "acme") -> list[Offer]:
    return [offer for offer in statements_of(*models, provider=provider) if isinstance(offer, Offer)]


def rates(*models: Any) -> list[tuple[str, str, int, int]]:
    (offer,) = offered(*models)
    return [(rate.unit, rate.variant, rate.above, rate.nano_per_million) for rate in offer.rates]


class TestRates:
    def test_an_offer_has_every_field_of_a_price(self) -> None:
        assert statements_of(model("Big-1", prices=price(input_mtok="2.5", output_mtok="10"))) == [
            Offer(
                provider="acme",
                provider_name="Acme",
                pattern="big-1",
                aliases=(),
                category="",
                valid_from=None,
                rates=(Rate("input_tokens", "", 0, 2_500_000_000), Rate("output_tokens", "", 0, 10_000_000_000)),
                source="genai-prices 9",
            )
        ]

    @pytest.mark.parametrize(
        ("theirs", "usd", "unit", "nano"),
        [
            ("input_mtok", "0.000001", "input_tokens", 1_000),
            ("cache_read_mtok", "0.3", "cached_input_tokens", 300_000_000),
            ("cache_write_mtok", "3.75", "cache_write_tokens", 3_750_000_000),
            ("cache_write_1h_mtok", "6", "cache_write_1h_tokens", 6_000_000_000),
            ("input_audio_mtok", "1", "input_audio_tokens", 1_000_000_000),
            ("input_image_mtok", "8", "image_tokens", 8_000_000_000),
            ("output_mtok", "15", "output_tokens", 15_000_000_000),
            ("output_reasoning_mtok", "3", "reasoning_tokens", 3_000_000_000),
            ("output_audio_mtok", "12", "output_audio_tokens", 12_000_000_000),
            ("output_image_mtok", "32", "output_image_tokens", 32_000_000_000),
            ("input_video_mtok", "2", "input_video_tokens", 2_000_000_000),
            ("cache_audio_read_mtok", "0.4", "cached_audio_tokens", 400_000_000),
            ("cache_image_read_mtok", "0.5", "cached_image_tokens", 500_000_000),
            ("input_mchars", "15", "characters", 15_000_000_000),
            ("audio_hours", "0.36", "seconds", 100_000_000_000),
            ("input_audio_hours", "0.111", "seconds", 30_833_333_333),  # rounded half-even: a rate cannot be finer
            ("input_document_kpages", "1", "pages", 1_000_000_000_000),
            ("web_searches_kcount", "10", "searches", 10_000_000_000_000),
            ("requests_kcount", "12", "requests", 12_000_000_000_000),
        ],
    )
    def test_each_of_their_units_maps_to_one_of_ours(self, theirs: str, usd: str, unit: str, nano: int) -> None:
        assert rates(model("m", prices=price(**{theirs: usd}))) == [(unit, "", 0, nano)]

    def test_a_tier_begins_strictly_above_its_start(self) -> None:
        figures = price(input_mtok=tiered("1.25", (200_000, "2.5")), output_mtok=tiered("10", (200_000, "15")))
        assert rates(model("m", prices=figures)) == [
            ("input_tokens", "", 0, 1_250_000_000),
            ("input_tokens", "", 200_000, 2_500_000_000),
            ("output_tokens", "", 0, 10_000_000_000),
            ("output_tokens", "", 200_000, 15_000_000_000),
        ]

    def test_a_duplicate_audio_rate_counts_once_and_a_conflicting_one_omits_the_model(self) -> None:
        assert rates(model("m", prices=price(audio_hours="0.36", input_audio_hours="0.36"))) == [
            ("seconds", "", 0, 100_000_000_000)
        ]
        assert statements_of(model("m", prices=price(audio_hours="0.36", input_audio_hours="0.72"))) == [
            Omission("acme", "m", "two rates for one unit")
        ]

    def test_an_explicit_zero_is_a_price(self) -> None:
        assert rates(model("m", prices=price(input_mtok="0"))) == [("input_tokens", "", 0, 0)]

    def test_a_missing_price_is_free_only_if_the_id_says_so(self) -> None:
        assert statements_of(model("m", prices=price())) == [Omission("acme", "m", "no price stated")]
        assert rates(model("m:free", prices=price())) == [("input_tokens", "", 0, 0), ("output_tokens", "", 0, 0)]


class TestConditions:
    def test_a_service_tier_has_only_the_rates_that_differ(self) -> None:
        variants = [
            when({"service_tier": "default"}),
            when({"service_tier": "priority"}, input_mtok="3.5", output_mtok="8"),
            when({"processing": "batch"}, input_mtok="1"),
            when({"speed": "fast"}, output_mtok="16"),
        ]
        assert rates(model("m", prices=price(input_mtok="2", output_mtok="8"), variants=variants)) == [
            ("input_tokens", "", 0, 2_000_000_000),
            ("input_tokens", "service_tier=batch", 0, 1_000_000_000),
            ("input_tokens", "service_tier=priority", 0, 3_500_000_000),
            ("output_tokens", "", 0, 8_000_000_000),
            ("output_tokens", "service_tier=fast", 0, 16_000_000_000),
        ]

    def test_an_unknown_condition_is_named_as_lacking_and_the_rest_is_offered(self) -> None:
        offers = offered(model("m", variants=[when({"route": "eu"}, input_mtok="2")]))
        assert [(offer.rates, offer.without) for offer in offers] == [
            ((Rate("input_tokens", "", 0, USD_PER_MTOK),), ("route=eu",))
        ]

    def test_each_date_on_which_the_price_changes_has_an_offer(self) -> None:
        first, second, third = date(2026, 1, 1), date(2026, 6, 1), date(2026, 9, 1)
        offers = offered(
            model(
                "m",
                prices=[always(input_mtok="1"), since(first, input_mtok="1"), since(third, input_mtok="3")],
                variants=[when({"processing": "batch"}, second, input_mtok="0.5")],
            )
        )
        assert [(offer.valid_from, [(r.variant, r.nano_per_million) for r in offer.rates]) for offer in offers] == [
            (None, [("", 1_000_000_000)]),
            (second, [("", 1_000_000_000), ("service_tier=batch", 500_000_000)]),
            (third, [("", 3_000_000_000), ("service_tier=batch", 500_000_000)]),
        ]

    def test_a_price_by_time_of_day_has_only_the_rates_that_differ(self) -> None:
        night = between(time(16, 30), time(0, 30), input_mtok="1", output_mtok="4")
        morning = between(time(6), time(10), input_mtok="3", output_mtok="4")
        assert rates(model("m", prices=[always(input_mtok="2", output_mtok="4"), night, morning])) == [
            ("input_tokens", "", 0, 2_000_000_000),
            ("input_tokens", "hours=06:00-10:00", 0, 3_000_000_000),
            ("input_tokens", "hours=16:30-00:30", 0, 1_000_000_000),
            ("output_tokens", "", 0, 4_000_000_000),
        ]

    @pytest.mark.parametrize(
        ("windows", "variants"),
        [
            ([(time(6), time(10)), (time(9), time(11))], []),  # which one applies at 9:30?
            ([(time(6), time(18)), (time(18), time(6))], []),  # no hour is left for the standard price
            ([(time(6), time(10))], [{"processing": "batch"}]),  # and for batches at night?
        ],
    )
    def test_a_price_by_time_of_day_that_is_not_clear_is_omitted(self, windows: Any, variants: Any) -> None:
        prices = [always(input_mtok="2"), *(between(*window, input_mtok="1") for window in windows)]
        sold = model("m", prices=prices, variants=[when(condition, input_mtok="1") for condition in variants])
        assert statements_of(sold) == [
            Omission("acme", "m", "a price that depends on the time of day and on something else")
        ]

    @pytest.mark.parametrize("key", ["output_video_mtok", "storage_searches_kcount", "a_new_mtok"])
    def test_a_unit_that_events_do_not_count_is_named_as_lacking_and_the_rest_is_offered(self, key: str) -> None:
        (offer,) = offered(model("m", prices=price(input_mtok="0.3", **{key: "30"})))
        assert (offer.rates, offer.without) == ((Rate("input_tokens", "", 0, 300_000_000),), (key,))

    def test_a_price_only_of_a_unit_that_events_do_not_count_is_omitted(self) -> None:
        assert statements_of(model("m", prices=price(output_video_mtok="30"))) == [
            Omission("acme", "m", "no price stated")
        ]

    def test_an_attribute_of_a_later_package_that_holds_a_number_is_named_as_lacking(self) -> None:
        sold = model("m")
        vars(sold).update(off_peak_discount=Decimal("0.5"), is_new=True, family="m")
        assert offered(sold)[0].without == ("off_peak_discount",)

    def test_an_amount_out_of_range_is_omitted(self) -> None:
        assert statements_of(model("m", prices=price(input_mtok="1e30")))[0] == Omission(
            "acme", "m", genai.OUT_OF_RANGE
        )
        assert statements_of(model("m", prices=price(input_mtok="1e-10")))[0] == Omission(
            "acme", "m", genai.OUT_OF_RANGE
        )


class TestIds:
    def test_aliases_are_the_literals_that_the_package_matches_to_this_model(self) -> None:
        from genai_prices import types

        models = (
            model("m-mini", types.ClauseStartsWith("m-mini")),
            model("M-1-latest", types.ClauseOr([types.ClauseStartsWith("M-1"), types.ClauseContains("m-mini-1")])),
        )
        offers = offered(*models)
        assert [(offer.pattern, offer.aliases) for offer in offers] == [("m-mini", ()), ("m-1-latest", ("m-1",))]

    def test_names_that_our_own_rules_derive_are_not_listed_as_aliases(self) -> None:
        match = equals("m-1", "m-1-20250514", "acme/m-1", "models/m-1", "m-one", "m-one-2025-05-14")
        assert offered(model("m-1", match))[0].aliases == ("m-one",)

    def test_a_prefix_becomes_a_glob_only_for_fine_tunes(self) -> None:
        from genai_prices import types

        assert offered(model("m-1", types.ClauseStartsWith("m-1")))[0].pattern == "m-1"
        assert offered(model("ft:m-1-", types.ClauseStartsWith("ft:m-1")))[0].pattern == "ft:m-1*"

    def test_bedrock_ids_lose_the_prefix_that_callers_do_not_send(self) -> None:
        from genai_prices import types

        match = types.ClauseOr([types.ClauseStartsWith("anthropic.c-1"), types.ClauseContains("us.anthropic.c-1")])
        (offer,) = offered(model("regional.anthropic.c-1-v1:0", match), provider="aws")
        assert (offer.provider, offer.pattern, offer.aliases) == (
            "bedrock",
            "anthropic.c-1-v1:0",
            ("anthropic.c-1",),
        )

    def test_a_routers_upstream_provider_is_appended_to_the_model_id(self) -> None:
        (offer,) = offered(model("openai/gpt-oss-20b"), provider="huggingface_fireworks-ai")
        assert (offer.provider, offer.provider_name, offer.pattern) == (
            "huggingface",
            "Hugging Face",
            "openai/gpt-oss-20b:fireworks-ai",
        )

    @pytest.mark.parametrize(("theirs", "ours"), [("x-ai", "xai"), ("google", "google"), ("Some One", "some-one")])
    def test_a_known_company_has_our_slug(self, theirs: str, ours: str) -> None:
        assert offered(model("m"), provider=theirs)[0].provider == ours


@cache
def statements() -> list[Offer | Omission]:
    return list(genai.offers())


class TestTheInstalledPackage:
    def test_every_model_is_either_offered_or_omitted_exactly_once(self) -> None:
        from genai_prices.data import providers

        offers = [statement for statement in statements() if isinstance(statement, Offer)]
        models = Counter(
            (statement.provider, statement.pattern) for statement in offers if statement.valid_from is None
        )
        omitted = Counter(
            (statement.provider, statement.model) for statement in statements() if isinstance(statement, Omission)
        )
        assert set((models + omitted).values()) == {1}
        assert len(models + omitted) == sum(len(provider.models) for provider in providers)

    def test_no_id_belongs_to_two_models(self) -> None:
        offers = {(offer.provider, offer.pattern): offer for offer in statements() if isinstance(offer, Offer)}
        claimed = Counter(
            (offer.provider, text) for offer in offers.values() for text in (offer.pattern, *offer.aliases)
        )
        assert [text for text, count in claimed.items() if count > 1] == []

    def test_every_offer_fits_the_database_columns(self) -> None:
        for statement in statements():
            SLUG(statement.provider)
            if isinstance(statement, Offer):
                assert statement.source.startswith("genai-prices ")
                assert statement.category in ("", *CATEGORIES)
                assert len(statement.pattern) <= 200
                assert [
                    text for text in (statement.pattern, *statement.aliases) if text != model_ids.normalize(text)
                ] == []
                assert statement.rates
                assert {rate.unit for rate in statement.rates} <= set(UNITS)


def test_a_price_begins_on_the_utc_day() -> None:
    day = date(2026, 6, 1)
    sold = model("m", prices=[always(input_mtok="1"), since(day, input_mtok="2")])
    assert [offer.valid_from for offer in offered(sold)] == [None, day]
    assert sold.get_prices(datetime(2026, 6, 1, tzinfo=UTC)).input_mtok == 2
