"""Conditions of a price: which rates apply to a call, and which calls a price does not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from providers.costing import Cost, PricedModel, Rate, cost
from providers.quantities import Quantities, Variant

MILLION = 1_000_000


def priced(*rows: tuple[Any, ...], holds_for: tuple[str, ...] = (), pattern: str = "m") -> PricedModel:
    """A price with these rates: (unit, nano-USD per unit, variant, above)."""
    rates = []
    for unit, nano, *rest in rows:
        variant, above = [*rest, "", 0][:2] if rest else ("", 0)
        rates.append(Rate(unit, variant, above if len(rest) > 1 else 0, nano * MILLION))
    return PricedModel(7, "acme", pattern, date(2025, 1, 1), "", tuple(rates), holds_for=frozenset(holds_for))


def nano(price: PricedModel, quantities: Quantities) -> int | str:
    """The cost in nano-USD, or the unknown condition."""
    result = cost(price, quantities)
    if result.unknown_condition:
        assert result == Cost(0, 0, 0, 0, (), False, result.unknown_condition)
        return result.unknown_condition
    return result.total_nano


def call(minute: Any = None, requests: Any = 1, **variant: str) -> Quantities:
    return Quantities(input_tokens=1000, requests=requests, variant=Variant(**variant), utc_minute=minute)


PLAIN = priced(("input_tokens", 2))
TIERED = priced(
    ("input_tokens", 2), ("input_tokens", 1, "service_tier=batch"), ("input_tokens", 12, "service_tier=fast")
)


class TestChosenConditions:
    @pytest.mark.parametrize(
        ("variant", "expected"),
        [
            ({}, 2000),
            ({"service_tier": "default"}, 2000),
            ({"service_tier": "AUTO"}, 2000),
            ({"service_tier": "on_demand", "speed": "standard", "inference_geo": "global"}, 2000),
            ({"service_tier": "batch"}, 1000),
            ({"service_tier": " Batch "}, 1000),
            ({"service_tier": "flex"}, "service_tier=flex"),
            ({"inference_geo": "us"}, "inference_geo=us"),
            ({"service_tier": "batch", "inference_geo": "us"}, "inference_geo=us"),
            # the fast speed is the fast service tier, in the call and in the price
            ({"speed": "fast"}, 12_000),
            ({"service_tier": "fast"}, 12_000),
            ({"service_tier": "standard", "speed": "fast"}, 12_000),
            ({"speed": "turbo"}, "speed=turbo"),
            # given conditions and the context choose nothing where no rate is by them
            ({"region": "eu", "resolution": "4k", "quality": "hd", "context": "long"}, 2000),
        ],
    )
    def test_a_value_that_the_price_does_not_know_has_no_price(
        self, variant: dict[str, str], expected: int | str
    ) -> None:
        assert nano(TIERED, call(**variant)) == expected

    @pytest.mark.parametrize("key", ["service_tier", "speed", "inference_geo"])
    def test_a_price_without_conditions_knows_only_default_values(self, key: str) -> None:
        assert nano(PLAIN, call(**{key: "x"})) == f"{key}=x"
        assert nano(replace(PLAIN, holds_for=frozenset({key})), call(**{key: "x"})) == 2000
        assert nano(replace(PLAIN, holds_for=frozenset({"search_context"})), call(**{key: "x"})) == f"{key}=x"

    def test_a_price_that_names_the_fast_speed_knows_the_fast_service_tier(self) -> None:
        price = priced(("input_tokens", 2), ("input_tokens", 12, "speed=fast"))
        assert nano(price, call(service_tier="fast")) == nano(price, call(speed="fast")) == 12_000

    def test_a_rate_for_the_default_value_is_the_plain_rate(self) -> None:
        price = priced(("input_tokens", 2, "service_tier=standard"), ("input_tokens", 1, "service_tier=batch"))
        assert [nano(price, call(service_tier=tier)) for tier in ("", "default", "batch")] == [2000, 2000, 1000]

    def test_two_conditions_that_only_different_rates_know_have_no_price(self) -> None:
        rows = [
            ("input_tokens", 4),
            ("input_tokens", 2, "service_tier=batch"),
            ("input_tokens", 5, "inference_geo=us"),
        ]
        both = {"service_tier": "batch", "inference_geo": "us"}
        assert nano(priced(*rows), call(**both)) == "inference_geo=us,service_tier=batch"
        assert nano(priced(*rows, ("input_tokens", 3, "inference_geo=us,service_tier=batch")), call(**both)) == 3000

    def test_a_tier_that_a_rate_knows_only_above_a_threshold_has_no_price_below_it(self) -> None:
        price = priced(("input_tokens", 2), ("input_tokens", 1, "service_tier=batch", 1000))
        assert nano(price, call(service_tier="batch")) == "service_tier=batch"
        assert nano(price, Quantities(input_tokens=1001, variant=Variant(service_tier="batch"))) == 1001

    def test_a_unit_without_a_rate_for_the_tier_keeps_its_own(self) -> None:
        price = priced(("input_tokens", 2), ("output_tokens", 8), ("input_tokens", 1, "service_tier=batch"))
        sent = Quantities(input_tokens=10, output_tokens=10, variant=Variant(service_tier="batch"))
        assert nano(price, sent) == 90

    def test_a_call_that_only_an_ordered_tier_has_rates_for_has_no_price(self) -> None:
        assert nano(priced(("input_tokens", 1, "service_tier=batch")), call()) == "service_tier="

    def test_the_tier_in_the_id_of_a_price_is_known(self) -> None:
        price = replace(priced(("input_tokens", 1), pattern="m:batch"), service_tier="batch")
        assert nano(price, call()) == nano(price, call(service_tier="batch")) == 1000
        assert nano(replace(PLAIN, service_tier="batch"), call()) == "service_tier=batch"

    def test_a_call_that_used_nothing_is_not_told_about_conditions(self) -> None:
        result = cost(PLAIN, Quantities(variant=Variant(service_tier="batch")))
        assert (result.billed, result.unknown_condition) == (False, "")

    @pytest.mark.parametrize(
        ("searches", "context", "expected"),
        [(2, "", 20_000), (2, "medium", 20_000), (2, "high", 30_000), (2, "low", "search_context=low"), (0, "low", 0)],
    )
    def test_the_search_context_matters_only_if_there_were_searches(
        self, searches: int, context: str, expected: int | str
    ) -> None:
        price = priced(("input_tokens", 0), ("searches", 10_000), ("searches", 15_000, "search_context=high"))
        sent = Quantities(input_tokens=1, searches=searches, variant=Variant(search_context=context))
        assert nano(price, sent) == expected


class TestGivenConditions:
    REGIONAL = priced(("input_tokens", 2, "region=us"), ("input_tokens", 3, "region=eu"), ("output_tokens", 9))

    @pytest.mark.parametrize(("region", "expected"), [("us", 2000), ("EU", 3000), ("ap", "region=ap"), ("", "region=")])
    def test_a_region_chooses_among_the_rates_by_region(self, region: str, expected: int | str) -> None:
        assert nano(self.REGIONAL, call(region=region)) == expected

    def test_only_what_was_used_needs_a_rate(self) -> None:
        sent = Quantities(output_tokens=10, variant=Variant(region="ap"))
        assert nano(self.REGIONAL, sent) == 90

    def test_a_plain_rate_holds_in_every_other_region(self) -> None:
        price = priced(("input_tokens", 1), ("input_tokens", 3, "region=eu"))
        assert [nano(price, call(region=region)) for region in ("", "eu", "ap")] == [1000, 3000, 1000]

    def test_a_size_that_no_rate_names_leaves_the_call_unpriced(self) -> None:
        price = priced(
            ("images", 40, "quality=hd,resolution=1024x1024"), ("images", 20, "quality=low,resolution=1024x1024")
        )
        answers = [
            nano(price, Quantities(images=1, variant=Variant(resolution, quality)))
            for resolution, quality in (("1024x1024", "hd"), ("1024x1024", "low"), ("512x512", "hd"), (None, None))
        ]
        assert answers == [40, 20, "resolution=512x512,quality=hd", "resolution=,quality="]

    def test_a_size_that_another_unit_is_priced_by_is_known(self) -> None:
        price = priced(("seconds", 100, "resolution=720p"), ("requests", 250, "resolution="))
        assert nano(price, Quantities(seconds=5 * MILLION)) == 250
        assert nano(price, Quantities(seconds=5 * MILLION, variant=Variant("720p"))) == 500
        assert nano(price, Quantities(seconds=5 * MILLION, variant=Variant("4k"))) == "resolution=4k"

    @pytest.mark.parametrize(
        ("minute", "expected"),
        [(0, 1000), (29, 1000), (30, 2000), (989, 2000), (990, 1000), (1439, 1000), (None, 2000)],
    )
    def test_the_utc_hour_chooses_the_rate(self, minute: int | None, expected: int) -> None:
        price = priced(("input_tokens", 2), ("input_tokens", 1, "hours=16:30-00:30"))
        assert nano(price, call(minute)) == expected

    def test_an_hour_that_no_rate_is_for_leaves_the_call_unpriced(self) -> None:
        price = priced(("input_tokens", 2, "hours=06:00-10:00"), ("input_tokens", 3, "hours=10:00-18:00"))
        assert [nano(price, call(minute)) for minute in (359, 360, 600, 1080)] == [
            "hours=05:59",
            2000,
            3000,
            "hours=18:00",
        ]
        assert nano(price, call(None)) == "hours="

    def test_conditions_combine(self) -> None:
        price = priced(
            ("input_tokens", 8),
            ("input_tokens", 4, "hours=16:30-00:30"),
            ("input_tokens", 3, "service_tier=batch"),
            ("input_tokens", 2, "hours=16:30-00:30,service_tier=batch"),
        )
        answers = [nano(price, call(minute, service_tier=tier)) for tier in ("", "batch") for minute in (600, 1000)]
        assert answers == [8000, 4000, 3000, 2000]


class TestAggregatedRows:
    PRICE = priced(("input_tokens", 1), ("input_tokens", 2, "", 200_000))
    TWO_STEPS = priced(("input_tokens", 1), ("input_tokens", 2, "", 32_000), ("input_tokens", 3, "", 200_000))

    @pytest.mark.parametrize(
        ("requests", "context", "expected"),
        [
            (0, "", 500_000),  # a sum of an unknown number of requests
            (0, "Long", 1_000_000),
            (0, "≤ 200k", 500_000),
            (0, "extended", "context=extended"),
            (1, "", 1_000_000),
            (1, "short", 1_000_000),
            (10, "", 500_000),
            (10, "short", 500_000),
            (10, "0-200k", 500_000),
            (10, "1M", 500_000),
            (10, "128k-200k", 500_000),
            (10, "Long", 1_000_000),
            (10, "200k-1M", 1_000_000),
            (10, "> 200k", 1_000_000),
            (10, "≥ 200k", 500_000),
            (10, "extended", "context=extended"),
            (1, "extended", 1_000_000),
        ],
    )
    def test_a_row_of_requests_passes_a_threshold_only_if_its_context_says_so(
        self, requests: int, context: str, expected: int | str
    ) -> None:
        sent = Quantities(input_tokens=500_000, requests=requests, variant=Variant(context=context))
        assert nano(self.PRICE, sent) == expected

    def test_an_unreadable_context_does_not_matter_without_thresholds(self) -> None:
        assert nano(PLAIN, call(requests=10, context="extended")) == 2000

    def test_a_long_context_is_not_enough_for_a_price_with_two_thresholds(self) -> None:
        sent = [call(requests=10, context=context) for context in ("long", "32k-128k", "> 200k", "short")]
        assert [nano(self.TWO_STEPS, quantities) for quantities in sent] == ["context=long", 2000, 3000, 1000]


class TestImageOutput:
    PRICE = priced(("output_tokens", 10), ("output_image_tokens", 32))

    def test_output_of_a_call_that_made_images_beside_text_is_unpriced_unless_it_is_split(self) -> None:
        result = cost(self.PRICE, Quantities(output_tokens=100, images=1, category="text"))
        assert result == Cost(0, 0, 0, 0, (), False)
        assert nano(self.PRICE, Quantities(output_tokens=100, output_image_tokens=60, images=1)) == 2320

    @pytest.mark.parametrize("category", ["image", "image_edit"])
    def test_output_of_a_call_for_images_is_image_tokens_unless_it_is_split(self, category: str) -> None:
        assert nano(self.PRICE, Quantities(output_tokens=100, images=1, category=category)) == 3200
        assert nano(self.PRICE, Quantities(output_tokens=100, output_image_tokens=60, category=category)) == 2320

    def test_other_calls_and_prices_need_no_split(self) -> None:
        assert nano(self.PRICE, Quantities(output_tokens=100)) == 1000
        assert nano(priced(("output_tokens", 10)), Quantities(output_tokens=100, images=1)) == 1000
