"""The cost of a call: which units bill at which rate, and how the sum is rounded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from providers.costing import Cost, CostLine, PricedModel, Rate, cost
from providers.quantities import Quantities, Variant, has_usage, tokens_total

USD_PER_MTOK = 10**9  # one USD per million tokens, in nano-USD per million units
USD_PER_UNIT = 10**15  # one USD per unit, in nano-USD per million units


def priced(*rows: tuple[str, int] | tuple[str, int, str] | tuple[str, int, str, int], tier: str = "") -> PricedModel:
    """A price with these rates: (unit, nano-USD per million, variant, above)."""
    rates = []
    for unit, nano, *rest in rows:
        variant, above = (*rest, "", 0)[: len(rest)] + ("", 0)[len(rest) :]
        rates.append(Rate(unit, str(variant), int(above), nano))
    return PricedModel(7, "acme", "m", date(2025, 1, 1), "test", tuple(rates), service_tier=tier)


def billed_quantities(result: Cost) -> dict[str, int]:
    return {line.unit: line.quantity for line in result.lines}


PLAIN_PRICE = priced(("input_tokens", 3 * USD_PER_MTOK), ("output_tokens", 15 * USD_PER_MTOK))
CACHE_PRICE = priced(
    ("input_tokens", 3_000_000_000),
    ("output_tokens", 15_000_000_000),
    ("cached_input_tokens", 300_000_000),
    ("cache_write_tokens", 3_750_000_000),
)
CACHE_1H_PRICE = PricedModel(
    8, "acme", "m", date(2025, 1, 1), "test", (*CACHE_PRICE.rates, Rate("cache_write_1h_tokens", "", 0, 6_000_000_000))
)


def test_input_and_output_bill_at_their_rates() -> None:
    result = cost(PLAIN_PRICE, Quantities(input_tokens=1000, output_tokens=200))
    assert result == Cost(
        input_nano=3_000_000,
        output_nano=3_000_000,
        other_nano=0,
        total_nano=6_000_000,
        lines=(
            CostLine("input_tokens", 1000, 3_000_000_000, "input"),
            CostLine("output_tokens", 200, 15_000_000_000, "output"),
        ),
        billed=True,
    )
    assert result.source == "price_book"


class TestTotalsAndParts:
    """Each token bills once; a part bills separately only if it has its own rate."""

    @pytest.mark.parametrize(
        ("price", "sent", "expected"),
        [
            # included: input tokens contain the cached and the cache-write tokens
            (
                CACHE_PRICE,
                {"input_tokens": 1000, "cached_input_tokens": 400},
                {"cached_input_tokens": 400, "input_tokens": 600},
            ),
            (PLAIN_PRICE, {"input_tokens": 1000, "cached_input_tokens": 400}, {"input_tokens": 1000}),
            (
                CACHE_PRICE,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100},
                {"cached_input_tokens": 400, "cache_write_tokens": 100, "input_tokens": 500},
            ),
            (CACHE_PRICE, {"input_tokens": 1000, "cached_input_tokens": 1000}, {"cached_input_tokens": 1000}),
            # not included: cached tokens come on top of the input tokens
            (
                CACHE_PRICE,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100, "cached_included": False},
                {"cached_input_tokens": 400, "cache_write_tokens": 100, "input_tokens": 1000},
            ),
            (
                PLAIN_PRICE,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100, "cached_included": False},
                {"input_tokens": 1500},
            ),
            # one-hour cache writes are part of the cache writes
            (
                CACHE_1H_PRICE,
                {"cache_write_tokens": 100, "cache_write_1h_tokens": 30, "cached_included": False},
                {"cache_write_1h_tokens": 30, "cache_write_tokens": 70},
            ),
            (
                CACHE_PRICE,
                {"cache_write_tokens": 100, "cache_write_1h_tokens": 30, "cached_included": False},
                {"cache_write_tokens": 100},
            ),
            (CACHE_1H_PRICE, {"cache_write_1h_tokens": 30, "cached_included": False}, {"cache_write_1h_tokens": 30}),
            (PLAIN_PRICE, {"cache_write_1h_tokens": 30, "cached_included": False}, {"input_tokens": 30}),
            # audio, images and reasoning are parts too
            (PLAIN_PRICE, {"input_tokens": 100, "input_audio_tokens": 40, "image_tokens": 9}, {"input_tokens": 100}),
            (
                priced(("input_tokens", 1), ("input_audio_tokens", 5), ("image_tokens", 7)),
                {"input_tokens": 100, "input_audio_tokens": 40, "image_tokens": 9},
                {"input_audio_tokens": 40, "image_tokens": 9, "input_tokens": 51},
            ),
            (PLAIN_PRICE, {"output_tokens": 100, "reasoning_tokens": 60}, {"output_tokens": 100}),
            (
                priced(("output_tokens", 1), ("reasoning_tokens", 2), ("output_audio_tokens", 3)),
                {"output_tokens": 100, "reasoning_tokens": 60, "output_audio_tokens": 30},
                {"reasoning_tokens": 60, "output_audio_tokens": 30, "output_tokens": 10},
            ),
            # a part is capped at what remains of its total
            (
                CACHE_PRICE,
                {"input_tokens": 100, "cached_input_tokens": 80, "cache_write_tokens": 50},
                {"cached_input_tokens": 80, "cache_write_tokens": 20},
            ),
            (
                priced(("output_tokens", 1), ("reasoning_tokens", 2)),
                {"output_tokens": 10, "reasoning_tokens": 60},
                {"reasoning_tokens": 10},
            ),
        ],
    )
    def test_billed_quantities(self, price: PricedModel, sent: dict[str, Any], expected: dict[str, int]) -> None:
        assert billed_quantities(cost(price, Quantities(**sent))) == expected

    def test_the_same_call_costs_the_same_under_either_convention(self) -> None:
        included = Quantities(input_tokens=1500, cached_input_tokens=400, cache_write_tokens=100, output_tokens=7)
        excluded = structs.replace(included, input_tokens=1000, cached_included=False)
        assert cost(CACHE_PRICE, included) == cost(CACHE_PRICE, excluded)
        assert tokens_total(included) == tokens_total(excluded) == 1507

    def test_only_units_with_a_rate_bill(self) -> None:
        sent = Quantities(input_tokens=5, output_tokens=10, images=3, seconds=9_000_000, category="image")
        assert billed_quantities(cost(priced(("output_tokens", 1)), sent)) == {"output_tokens": 10}


class TestTiers:
    PRICE = priced(
        ("input_tokens", 1_250_000_000),
        ("output_tokens", 10_000_000_000),
        ("cached_input_tokens", 100_000_000),
        ("input_tokens", 2_500_000_000, "", 200_000),
        ("output_tokens", 15_000_000_000, "", 200_000),
    )

    @pytest.mark.parametrize(
        ("total", "input_nano", "output_nano"),
        [(199_999, 249_998_750, 10_000), (200_000, 250_000_000, 10_000), (200_001, 500_002_500, 15_000)],
    )
    def test_a_tier_begins_strictly_above_its_threshold(self, total: int, input_nano: int, output_nano: int) -> None:
        result = cost(self.PRICE, Quantities(input_tokens=total, output_tokens=1))
        assert (result.input_nano, result.output_nano) == (input_nano, output_nano)

    @pytest.mark.parametrize(
        "sent",
        [
            Quantities(input_tokens=200_001, cached_input_tokens=150_000, output_tokens=1),
            Quantities(input_tokens=50_001, cached_input_tokens=150_000, output_tokens=1, cached_included=False),
        ],
    )
    def test_all_input_selects_the_tier_and_a_unit_without_a_tier_keeps_its_rate(self, sent: Quantities) -> None:
        result = cost(self.PRICE, sent)
        assert result.lines == (
            CostLine("cached_input_tokens", 150_000, 100_000_000, "input"),
            CostLine("input_tokens", 50_001, 2_500_000_000, "input"),
            CostLine("output_tokens", 1, 15_000_000_000, "output"),
        )

    def test_the_highest_tier_reached_applies(self) -> None:
        price = priced(("input_tokens", 1), ("input_tokens", 2, "", 10), ("input_tokens", 3, "", 20))
        assert [cost(price, Quantities(input_tokens=n)).lines[0].nano_per_million for n in (10, 11, 20, 21)] == [
            1,
            2,
            2,
            3,
        ]


class TestVariants:
    VIDEO = priced(
        ("seconds", USD_PER_UNIT // 20, "resolution=480p"),
        ("seconds", USD_PER_UNIT // 10, "resolution=720p"),
        ("requests", USD_PER_UNIT // 4, "resolution="),
    )

    def test_the_resolution_selects_the_rate(self) -> None:
        result = cost(self.VIDEO, Quantities(seconds=5_000_000, variant=Variant(resolution="720P "), category="video"))
        assert result == Cost(
            0, 0, 500_000_000, 500_000_000, (CostLine("seconds", 5_000_000, USD_PER_UNIT // 10, "other"),), True
        )
        assert (result.lines[0].decimal_quantity, result.lines[0].usd) == (Decimal(5), Decimal("0.5"))

    def test_an_empty_condition_matches_a_call_without_a_resolution(self) -> None:
        assert cost(self.VIDEO, Quantities(seconds=5_000_000)).total_nano == 250_000_000

    def test_an_unknown_variant_has_no_rate(self) -> None:
        result = cost(self.VIDEO, Quantities(seconds=5_000_000, variant=Variant(resolution="4k")))
        assert result == Cost(0, 0, 0, 0, (), False, "resolution=4k")
        assert result.source == "unpriced"

    def test_more_conditions_win_over_fewer_and_over_a_tier(self) -> None:
        price = priced(
            ("input_tokens", 1),
            ("input_tokens", 2, "", 10),
            ("input_tokens", 3, "service_tier=batch"),
            ("input_tokens", 4, "quality=hd, service_tier=batch"),
        )
        batch = Variant(service_tier="batch")
        chosen = [
            cost(price, Quantities(input_tokens=11, variant=variant)).lines[0].nano_per_million
            for variant in (Variant(), Variant(quality="hd"), batch, Variant("1k", "HD", "batch"))
        ]
        assert chosen == [2, 2, 3, 4]

    def test_the_model_id_may_state_the_service_tier(self) -> None:
        rates: Any = (("input_tokens", 2_000), ("input_tokens", 1_000, "service_tier=batch"))
        sent = Quantities(input_tokens=1_000_000)
        assert cost(priced(*rates), sent).total_nano == 2_000
        assert cost(priced(*rates, tier="batch"), sent).total_nano == 1_000

    def test_an_unknown_condition_never_matches(self) -> None:
        assert not cost(priced(("input_tokens", 1, "colour=red")), Quantities(input_tokens=1)).billed


class TestCountedUnits:
    @pytest.mark.parametrize(
        ("unit", "category"),
        [("images", "image"), ("images", "image_edit"), ("searches", "search"), ("pages", "crawl")],
    )
    def test_a_missing_quantity_counts_as_one_per_request_in_the_category_of_its_unit(
        self, unit: str, category: str
    ) -> None:
        price = priced((unit, USD_PER_UNIT))
        assert billed_quantities(cost(price, Quantities(category=category))) == {unit: 1}
        assert billed_quantities(cost(price, Quantities(requests=3, category=category))) == {unit: 3}
        assert billed_quantities(cost(price, Quantities(requests=0, category=category))) == {}

    @pytest.mark.parametrize("unit", ["images", "searches", "pages"])
    def test_a_missing_quantity_counts_as_zero_in_other_categories(self, unit: str) -> None:
        assert not cost(priced((unit, USD_PER_UNIT)), Quantities(category="text")).billed

    @pytest.mark.parametrize(("unit", "category"), [("images", "image"), ("searches", "search"), ("pages", "crawl")])
    def test_an_explicit_zero_stays_zero(self, unit: str, category: str) -> None:
        result = cost(priced((unit, USD_PER_UNIT)), Quantities(category=category, **{unit: 0}))  # type: ignore[arg-type]
        assert (result.total_nano, result.billed, result.source) == (0, False, "unpriced")

    def test_an_image_is_not_also_billed_as_a_request(self) -> None:
        assert (
            cost(priced(("images", USD_PER_UNIT // 25)), Quantities(images=2, category="image")).total_nano
            == 80_000_000
        )

    def test_seconds_and_megapixels_are_exact_to_a_millionth(self) -> None:
        result = cost(
            priced(("seconds", USD_PER_UNIT // 50), ("megapixels", 3)), Quantities(seconds=1_000_001, megapixels=1)
        )
        assert result.total_nano == 20_000_020
        assert result.unrounded_usd == Decimal("0.020000020000000000003")

    def test_characters_bill_at_their_rate(self) -> None:
        assert cost(priced(("characters", 50 * USD_PER_MTOK)), Quantities(characters=1234)).total_nano == 61_700_000


class TestUnpricedAndFree:
    def test_a_call_without_a_rated_unit_above_zero_is_unpriced(self) -> None:
        assert cost(PLAIN_PRICE, Quantities(images=4, category="image")) == Cost(0, 0, 0, 0, (), False)
        assert cost(priced(), Quantities(input_tokens=4)).source == "unpriced"

    def test_a_known_price_of_zero_is_free_not_unpriced(self) -> None:
        result = cost(priced(("input_tokens", 0)), Quantities(input_tokens=4))
        assert (result.total_nano, result.billed, result.source) == (0, True, "free")

    def test_a_cost_that_rounds_to_zero_still_comes_from_the_price_book(self) -> None:
        result = cost(priced(("input_tokens", 1)), Quantities(input_tokens=4))
        assert (result.total_nano, result.source, result.unrounded_usd) == (
            0,
            "price_book",
            Decimal("0.000000000000004"),
        )

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ({}, False),
            ({"requests": 3, "category": "image"}, False),
            ({"images": 0, "category": "image"}, False),
            ({"input_tokens": 1}, True),
            ({"reasoning_tokens": 1}, True),
            ({"seconds": 1}, True),
            ({"pages": 1, "requests": 0}, True),
        ],
    )
    def test_a_request_count_alone_is_no_usage(self, sent: dict[str, Any], expected: bool) -> None:
        assert has_usage(Quantities(**sent)) is expected


class TestRounding:
    @pytest.mark.parametrize(
        ("rate", "tokens", "nano"),
        [(500_000, 1, 0), (500_000, 3, 2), (500_001, 1, 1), (1_500_000, 1, 2), (2_500_000, 1, 2)],
    )
    def test_half_rounds_to_even(self, rate: int, tokens: int, nano: int) -> None:
        assert cost(priced(("input_tokens", rate)), Quantities(input_tokens=tokens)).total_nano == nano

    def test_the_sum_is_rounded_once_and_the_remainder_goes_to_the_largest_part(self) -> None:
        price = priced(("input_tokens", 1_400_000), ("output_tokens", 2_400_000), ("requests", 1_300_000))
        result = cost(price, Quantities(input_tokens=1, output_tokens=1))
        assert result[:4] == (1, 3, 1, 5)  # 1.4 + 2.4 + 1.3 = 5.1; rounding each part would give 4

    @pytest.mark.parametrize(
        ("rates", "parts"),
        [
            ((900_000, 800_000, 800_000), (2, 0, 0)),
            ((800_000, 800_000, 900_000), (0, 0, 2)),
            ((800_000, 900_000, 0), (0, 2, 0)),
        ],
    )
    def test_any_part_may_be_the_largest(self, rates: tuple[int, int, int], parts: tuple[int, int, int]) -> None:
        price = priced(*zip(("input_tokens", "output_tokens", "requests"), rates, strict=True))
        assert cost(price, Quantities(input_tokens=1, output_tokens=1))[:3] == parts
