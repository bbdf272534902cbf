"""Units times rates: every rule of what bills with exact figures."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from providers.costing import (
    Cost,
    Line,
    PricedModel,
    Quantities,
    Rate,
    Variant,
    cost,
    has_usage,
    tokens_total,
)

USD_PER_MTOK = 10**9  # one USD for a million tokens, in nano-USD per million
USD_EACH = 10**15  # one USD for each unit, in nano-USD per million


def priced(*rates: tuple[str, int] | tuple[str, int, str] | tuple[str, int, str, int], tier: str = "") -> PricedModel:
    """A price from (unit, nano per million, variant, above)."""
    made = []
    for unit, nano, *rest in rates:
        variant, above = (*rest, "", 0)[: len(rest)] + ("", 0)[len(rest) :]
        made.append(Rate(unit, str(variant), int(above), nano))
    return PricedModel(7, "acme", "m", date(2025, 1, 1), "test", tuple(made), service_tier=tier)


def billed(answer: Cost) -> dict[str, int]:
    return {line.unit: line.quantity for line in answer.lines}


IN_OUT = priced(("input_tokens", 3 * USD_PER_MTOK), ("output_tokens", 15 * USD_PER_MTOK))
CACHE = priced(
    ("input_tokens", 3_000_000_000),
    ("output_tokens", 15_000_000_000),
    ("cached_input_tokens", 300_000_000),
    ("cache_write_tokens", 3_750_000_000),
)
CACHE_1H = PricedModel(
    8, "acme", "m", date(2025, 1, 1), "test", (*CACHE.rates, Rate("cache_write_1h_tokens", "", 0, 6_000_000_000))
)


def test_input_and_output_bill_at_their_rates() -> None:
    answer = cost(IN_OUT, Quantities(input_tokens=1000, output_tokens=200))
    assert answer == Cost(
        input_nano=3_000_000,
        output_nano=3_000_000,
        other_nano=0,
        total_nano=6_000_000,
        lines=(
            Line("input_tokens", 1000, 3_000_000_000, "input"),
            Line("output_tokens", 200, 15_000_000_000, "output"),
        ),
        billed=True,
    )
    assert answer.source == "price_book"


class TestWholesAndParts:
    """Each token bills once; a part bills on its own only where it has a rate of its own."""

    @pytest.mark.parametrize(
        ("price", "sent", "expected"),
        [
            # included: the input holds the cached and the written ones
            (
                CACHE,
                {"input_tokens": 1000, "cached_input_tokens": 400},
                {"cached_input_tokens": 400, "input_tokens": 600},
            ),
            (IN_OUT, {"input_tokens": 1000, "cached_input_tokens": 400}, {"input_tokens": 1000}),
            (
                CACHE,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100},
                {"cached_input_tokens": 400, "cache_write_tokens": 100, "input_tokens": 500},
            ),
            (CACHE, {"input_tokens": 1000, "cached_input_tokens": 1000}, {"cached_input_tokens": 1000}),
            # not included: they lie beside the input
            (
                CACHE,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100, "cached_included": False},
                {"cached_input_tokens": 400, "cache_write_tokens": 100, "input_tokens": 1000},
            ),
            (
                IN_OUT,
                {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_tokens": 100, "cached_included": False},
                {"input_tokens": 1500},
            ),
            # the one-hour part is inside the written ones
            (
                CACHE_1H,
                {"cache_write_tokens": 100, "cache_write_1h_tokens": 30, "cached_included": False},
                {"cache_write_1h_tokens": 30, "cache_write_tokens": 70},
            ),
            (
                CACHE,
                {"cache_write_tokens": 100, "cache_write_1h_tokens": 30, "cached_included": False},
                {"cache_write_tokens": 100},
            ),
            (CACHE_1H, {"cache_write_1h_tokens": 30, "cached_included": False}, {"cache_write_1h_tokens": 30}),
            (IN_OUT, {"cache_write_1h_tokens": 30, "cached_included": False}, {"input_tokens": 30}),
            # audio, images and reasoning are parts too
            (IN_OUT, {"input_tokens": 100, "input_audio_tokens": 40, "image_tokens": 9}, {"input_tokens": 100}),
            (
                priced(("input_tokens", 1), ("input_audio_tokens", 5), ("image_tokens", 7)),
                {"input_tokens": 100, "input_audio_tokens": 40, "image_tokens": 9},
                {"input_audio_tokens": 40, "image_tokens": 9, "input_tokens": 51},
            ),
            (IN_OUT, {"output_tokens": 100, "reasoning_tokens": 60}, {"output_tokens": 100}),
            (
                priced(("output_tokens", 1), ("reasoning_tokens", 2), ("output_audio_tokens", 3)),
                {"output_tokens": 100, "reasoning_tokens": 60, "output_audio_tokens": 30},
                {"reasoning_tokens": 60, "output_audio_tokens": 30, "output_tokens": 10},
            ),
            # no part is larger than what is left of its whole
            (
                CACHE,
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
    def test_what_bills(self, price: PricedModel, sent: dict[str, Any], expected: dict[str, int]) -> None:
        assert billed(cost(price, Quantities(**sent))) == expected

    def test_the_same_call_costs_the_same_under_either_convention(self) -> None:
        included = Quantities(input_tokens=1500, cached_input_tokens=400, cache_write_tokens=100, output_tokens=7)
        beside = structs.replace(included, input_tokens=1000, cached_included=False)
        assert cost(CACHE, included) == cost(CACHE, beside)
        assert tokens_total(included) == tokens_total(beside) == 1507

    def test_only_named_units_bill(self) -> None:
        sent = Quantities(input_tokens=5, output_tokens=10, images=3, seconds=9_000_000, category="image")
        assert billed(cost(priced(("output_tokens", 1)), sent)) == {"output_tokens": 10}


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
        answer = cost(self.PRICE, Quantities(input_tokens=total, output_tokens=1))
        assert (answer.input_nano, answer.output_nano) == (input_nano, output_nano)

    @pytest.mark.parametrize(
        "sent",
        [
            Quantities(input_tokens=200_001, cached_input_tokens=150_000, output_tokens=1),
            Quantities(input_tokens=50_001, cached_input_tokens=150_000, output_tokens=1, cached_included=False),
        ],
    )
    def test_it_is_chosen_by_all_input_and_a_unit_without_a_tier_keeps_its_rate(self, sent: Quantities) -> None:
        answer = cost(self.PRICE, sent)
        assert answer.lines == (
            Line("cached_input_tokens", 150_000, 100_000_000, "input"),
            Line("input_tokens", 50_001, 2_500_000_000, "input"),
            Line("output_tokens", 1, 15_000_000_000, "output"),
        )

    def test_the_highest_of_several_tiers_counts(self) -> None:
        price = priced(("input_tokens", 1), ("input_tokens", 2, "", 10), ("input_tokens", 3, "", 20))
        assert [cost(price, Quantities(input_tokens=n)).lines[0].nano_per_million for n in (10, 11, 20, 21)] == [
            1,
            2,
            2,
            3,
        ]


class TestVariants:
    VIDEO = priced(
        ("seconds", USD_EACH // 20, "resolution=480p"),
        ("seconds", USD_EACH // 10, "resolution=720p"),
        ("requests", USD_EACH // 4, "resolution="),
    )

    def test_the_resolution_chooses_the_rate(self) -> None:
        answer = cost(self.VIDEO, Quantities(seconds=5_000_000, variant=Variant(resolution="720P "), category="video"))
        assert answer == Cost(
            0, 0, 500_000_000, 500_000_000, (Line("seconds", 5_000_000, USD_EACH // 10, "other"),), True
        )
        assert (answer.lines[0].amount, answer.lines[0].usd) == (Decimal(5), Decimal("0.5"))

    def test_an_empty_condition_holds_where_nothing_is_stated(self) -> None:
        assert cost(self.VIDEO, Quantities(seconds=5_000_000)).total_nano == 250_000_000

    def test_an_unknown_variant_has_no_rate(self) -> None:
        answer = cost(self.VIDEO, Quantities(seconds=5_000_000, variant=Variant(resolution="4k")))
        assert answer == Cost(0, 0, 0, 0, (), False)
        assert answer.source == "unpriced"

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

    def test_the_id_that_was_asked_for_may_state_the_service_tier(self) -> None:
        rates: Any = (("input_tokens", 2_000), ("input_tokens", 1_000, "service_tier=batch"))
        sent = Quantities(input_tokens=1_000_000)
        assert cost(priced(*rates), sent).total_nano == 2_000
        assert cost(priced(*rates, tier="batch"), sent).total_nano == 1_000

    def test_a_condition_on_something_else_never_holds(self) -> None:
        assert not cost(priced(("input_tokens", 1, "colour=red")), Quantities(input_tokens=1)).billed


class TestCountedUnits:
    @pytest.mark.parametrize(
        ("unit", "category"),
        [("images", "image"), ("images", "image_edit"), ("searches", "search"), ("pages", "crawl")],
    )
    def test_nothing_sent_means_one_a_request_in_its_own_category(self, unit: str, category: str) -> None:
        price = priced((unit, USD_EACH))
        assert billed(cost(price, Quantities(category=category))) == {unit: 1}
        assert billed(cost(price, Quantities(requests=3, category=category))) == {unit: 3}
        assert billed(cost(price, Quantities(requests=0, category=category))) == {}

    @pytest.mark.parametrize("unit", ["images", "searches", "pages"])
    def test_elsewhere_it_means_none(self, unit: str) -> None:
        assert not cost(priced((unit, USD_EACH)), Quantities(category="text")).billed

    @pytest.mark.parametrize(("unit", "category"), [("images", "image"), ("searches", "search"), ("pages", "crawl")])
    def test_an_explicit_zero_stays_zero(self, unit: str, category: str) -> None:
        answer = cost(priced((unit, USD_EACH)), Quantities(category=category, **{unit: 0}))  # type: ignore[arg-type]
        assert (answer.total_nano, answer.billed, answer.source) == (0, False, "unpriced")

    def test_an_image_is_not_billed_as_a_request_too(self) -> None:
        assert cost(priced(("images", USD_EACH // 25)), Quantities(images=2, category="image")).total_nano == 80_000_000

    def test_seconds_and_megapixels_are_exact_to_a_millionth(self) -> None:
        answer = cost(
            priced(("seconds", USD_EACH // 50), ("megapixels", 3)), Quantities(seconds=1_000_001, megapixels=1)
        )
        assert answer.total_nano == 20_000_020
        assert answer.unrounded_usd == Decimal("0.020000020000000000003")

    def test_characters(self) -> None:
        assert cost(priced(("characters", 50 * USD_PER_MTOK)), Quantities(characters=1234)).total_nano == 61_700_000


class TestUnpricedAndFree:
    def test_without_a_rated_unit_above_zero_a_call_is_unpriced(self) -> None:
        assert cost(IN_OUT, Quantities(images=4, category="image")) == Cost(0, 0, 0, 0, (), False)
        assert cost(priced(), Quantities(input_tokens=4)).source == "unpriced"

    def test_a_known_price_of_zero_is_free_not_unpriced(self) -> None:
        answer = cost(priced(("input_tokens", 0)), Quantities(input_tokens=4))
        assert (answer.total_nano, answer.billed, answer.source) == (0, True, "free")

    def test_a_cost_that_rounds_to_zero_is_the_price_books(self) -> None:
        answer = cost(priced(("input_tokens", 1)), Quantities(input_tokens=4))
        assert (answer.total_nano, answer.source, answer.unrounded_usd) == (
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
    def test_the_request_alone_is_no_usage(self, sent: dict[str, Any], expected: bool) -> None:
        assert has_usage(Quantities(**sent)) is expected


class TestRounding:
    @pytest.mark.parametrize(
        ("rate", "tokens", "nano"),
        [(500_000, 1, 0), (500_000, 3, 2), (500_001, 1, 1), (1_500_000, 1, 2), (2_500_000, 1, 2)],
    )
    def test_half_goes_to_even(self, rate: int, tokens: int, nano: int) -> None:
        assert cost(priced(("input_tokens", rate)), Quantities(input_tokens=tokens)).total_nano == nano

    def test_the_sum_is_rounded_once_and_the_remainder_goes_to_the_largest_part(self) -> None:
        price = priced(("input_tokens", 1_400_000), ("output_tokens", 2_400_000), ("requests", 1_300_000))
        answer = cost(price, Quantities(input_tokens=1, output_tokens=1))
        assert answer[:4] == (1, 3, 1, 5)  # 1.4 + 2.4 + 1.3 = 5.1; each alone would make 4

    @pytest.mark.parametrize(
        ("rates", "parts"),
        [
            ((900_000, 800_000, 800_000), (2, 0, 0)),
            ((800_000, 800_000, 900_000), (0, 0, 2)),
            ((800_000, 900_000, 0), (0, 2, 0)),
        ],
    )
    def test_it_may_be_any_part(self, rates: tuple[int, int, int], parts: tuple[int, int, int]) -> None:
        price = priced(*zip(("input_tokens", "output_tokens", "requests"), rates, strict=True))
        assert cost(price, Quantities(input_tokens=1, output_tokens=1))[:3] == parts
