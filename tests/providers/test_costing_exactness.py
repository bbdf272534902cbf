"""Costs compared with exact fractions, over random prices and quantities."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from providers.costing import PricedModel, Rate, cost
from providers.quantities import (
    MICRO_UNITS,
    OTHER_UNITS,
    UNITS,
    Quantities,
    Variant,
    has_unsplit_output,
    tokens_total,
)

TIERS = (200_000, 10**9)
VALUES = {"resolution": ("480p", "720p"), "quality": ("hd",), "service_tier": ("batch", "flex"), "region": ("eu",)}
CONDITIONS = [f"{key}={value}" for key, values in VALUES.items() for value in ("", *values)]

TOKENS = [name for name in Quantities.__struct_fields__ if name.endswith("_tokens")]

near_tier = st.sampled_from([tier + step for tier in TIERS for step in (-1, 0, 1)])
small_count = st.integers(0, 20)  # parts slightly below or above their total
count = small_count | st.integers(0, 10**9) | near_tier
optional_count = st.none() | count
quantities = st.builds(
    Quantities,
    **dict.fromkeys(TOKENS, count),
    **dict.fromkeys(("images", "characters", "searches", "pages", "web_fetches", "sessions"), optional_count),
    **{name: st.none() | st.integers(0, 10**15) for name in MICRO_UNITS},
    requests=st.sampled_from([0, 1]),
    cached_included=st.booleans(),
    variant=st.builds(
        Variant,
        **{key: st.sampled_from([None, "", *VALUES.get(key, ())]) for key in Variant._fields},
    ),
    utc_minute=st.none(),
    category=st.sampled_from(["text", "image", "image_edit", "search", "crawl", "video"]),
)
variant = st.just("") | st.lists(
    st.sampled_from(CONDITIONS), max_size=3, unique_by=lambda condition: condition.split("=")[0]
).map(",".join)
rate = st.builds(
    Rate,
    unit=st.sampled_from(UNITS),
    variant=variant,
    above=st.sampled_from([0, 0, *TIERS]),
    nano_per_million=st.integers(0, 10**16),
)
rates = st.lists(rate, max_size=20, unique_by=lambda rate: (rate.unit, rate.variant, rate.above))


def exact_cost_nano(rates: list[Rate], sent: Quantities) -> Fraction | None:
    """The exact cost in nano-USD: a second, simpler implementation of the rules. None where the usage is not enough."""
    cache_writes = max(sent.cache_write_tokens, sent.cache_write_1h_tokens)
    extra = 0 if sent.cached_included else sent.cached_input_tokens + cache_writes
    input_total = sent.input_tokens + extra
    conditions = {f"{key}={value or ''}" for key, value in sent.variant._asdict().items()}
    request_tokens = input_total if sent.requests == 1 else 0  # no requests: a sum of an unknown number of them
    matching = [r for r in rates if set(terms(r)) <= conditions and (r.above == 0 or request_tokens > r.above)]
    best = {r.unit: r for r in sorted(matching, key=preference)}
    if has_unsplit_output(sent) and "output_image_tokens" in best:
        return None
    rate_by_unit = {unit: Fraction(r.nano_per_million, 10**6) for unit, r in best.items()}
    one_hour_writes = sent.cache_write_1h_tokens if "cache_write_1h_tokens" in rate_by_unit else 0
    cached_audio = sent.cached_audio_tokens if {"cached_audio_tokens", "cached_input_tokens"} & best.keys() else 0
    cached_image = sent.cached_image_tokens if {"cached_image_tokens", "cached_input_tokens"} & best.keys() else 0
    own_audio = sent.cached_audio_tokens if "cached_audio_tokens" in best else 0
    own_image = sent.cached_image_tokens if "cached_image_tokens" in best else 0
    inputs = [
        ("cached_audio_tokens", sent.cached_audio_tokens),
        ("cached_image_tokens", sent.cached_image_tokens),
        ("cached_input_tokens", max(0, sent.cached_input_tokens - own_audio - own_image)),
        ("cache_write_1h_tokens", one_hour_writes),
        ("cache_write_tokens", cache_writes - one_hour_writes),
        ("input_audio_tokens", max(0, sent.input_audio_tokens - cached_audio)),
        ("image_tokens", max(0, sent.image_tokens - cached_image)),
        ("input_video_tokens", sent.input_video_tokens),
        ("input_tokens", 10**12),
    ]
    all_are_images = sent.category in {"image", "image_edit"} and not sent.output_image_tokens
    outputs = [
        ("reasoning_tokens", sent.reasoning_tokens),
        ("output_audio_tokens", sent.output_audio_tokens),
        ("output_image_tokens", sent.output_tokens if all_are_images else sent.output_image_tokens),
        ("output_tokens", 10**12),
    ]
    total = Fraction(0)
    for remaining, parts in ((input_total, inputs), (sent.output_tokens, outputs)):
        for unit, quantity in parts:
            billed = min(quantity, remaining) if unit in rate_by_unit else 0
            total, remaining = total + billed * rate_by_unit.get(unit, 0), remaining - billed  # noqa: PLW2901
    default_unit = {"image": "images", "image_edit": "images", "search": "searches", "crawl": "pages"}.get(
        sent.category
    )
    for unit in OTHER_UNITS:
        stated = getattr(sent, unit)
        quantity = sent.requests if stated is None and unit == default_unit else stated or 0
        total += rate_by_unit.get(unit, 0) * Fraction(quantity, 10**6 if unit in MICRO_UNITS else 1)
    return total


def terms(rate: Rate) -> list[str]:
    return [term for term in rate.variant.split(",") if term]


def preference(rate: Rate) -> tuple[int, int, list[int]]:
    """Sort key, lowest priority first: fewer conditions, then the lower tier, then the later text."""
    return len(terms(rate)), rate.above, [-ord(letter) for letter in rate.variant] + [1]


ALL_RATES = [
    Rate(unit, variant, above, 1_000_003 * (number + 1) + above)
    for number, unit in enumerate(UNITS)
    for variant, above in (("", 0), ("", TIERS[0]), ("quality=hd,service_tier=batch", 0), ("resolution=", TIERS[1]))
]
PLAIN_RATES = [rate for rate in ALL_RATES if not rate.variant]
COUNTS: dict[str, Any] = dict.fromkeys(TOKENS[:9], 77_777) | dict.fromkeys(MICRO_UNITS, 1_234_567)
ALL_QUANTITIES = Quantities(**COUNTS, variant=Variant(quality="hd", service_tier="batch"))
PARTS_EXCEED_TOTAL = structs.replace(ALL_QUANTITIES, input_tokens=100_000, output_tokens=100_000)
AT_TIER_START = structs.replace(ALL_QUANTITIES, input_tokens=TIERS[0], cache_write_1h_tokens=0, variant=Variant())


@example(ALL_RATES, ALL_QUANTITIES)
@example(ALL_RATES, PARTS_EXCEED_TOTAL)
@example(ALL_RATES, structs.replace(PARTS_EXCEED_TOTAL, cached_included=False))
@example(ALL_RATES, AT_TIER_START)
@example(PLAIN_RATES, AT_TIER_START)
@example(ALL_RATES, structs.replace(AT_TIER_START, input_tokens=TIERS[0] + 1))
@example(PLAIN_RATES, structs.replace(AT_TIER_START, input_tokens=TIERS[0] + 1))
@example(ALL_RATES, structs.replace(AT_TIER_START, input_tokens=TIERS[0] - 2 * 77_777, cached_included=False))
@example(ALL_RATES, structs.replace(AT_TIER_START, input_tokens=TIERS[0] - 2 * 77_777 + 1, cached_included=False))
@given(rates, quantities)
def test_the_total_is_the_exact_sum_rounded_half_even_once(rates: list[Rate], sent: Quantities) -> None:
    result = cost(PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates)), sent)
    exact = exact_cost_nano(rates, sent)
    if result.unknown_condition or exact is None:
        assert result == (0, 0, 0, 0, (), False, result.unknown_condition)
        return
    assert result.total_nano == round(exact)  # Python rounds fractions half to even
    assert result.input_nano + result.output_nano + result.other_nano == result.total_nano
    assert min(result[:3]) >= 0
    assert Fraction(result.unrounded_usd) == exact / 10**9


@given(rates, quantities)
def test_every_token_bills_at_most_once_and_each_line_uses_a_rate_of_the_price(
    rates: list[Rate], sent: Quantities
) -> None:
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates))
    result = cost(price, sent)
    assert sum(line.quantity for line in result.lines if line.part != "other") <= tokens_total(sent)
    assert {(line.unit, line.nano_per_million) for line in result.lines} <= {
        (r.unit, r.nano_per_million) for r in rates
    }
    assert result.billed is (result.lines != ())
    assert cost(PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(reversed(rates))), sent) == result


@given(quantities)
def test_with_input_and_output_rates_every_token_bills_exactly_once(sent: Quantities) -> None:
    units = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(Rate(unit, "", 0, 1) for unit in units))
    result = cost(price, structs.replace(sent, variant=Variant()))
    assert sum(line.quantity for line in result.lines) == tokens_total(sent)


@given(rates, quantities)
def test_the_tier_in_the_model_id_overrides_the_tier_of_the_call(rates: list[Rate], sent: Quantities) -> None:
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates), service_tier="batch")
    with_tier = structs.replace(sent, variant=sent.variant._replace(service_tier="batch"))
    assert cost(price, sent) == cost(replace(price, service_tier=""), with_tier)


@given(rates, quantities)
def test_a_service_tier_that_no_rate_names_is_never_charged(rates: list[Rate], sent: Quantities) -> None:
    result = cost(PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates)), sent)
    known = {term for rate in rates for term in terms(rate)}
    assert not sent.variant.service_tier or f"service_tier={sent.variant.service_tier}" in known or not result.lines
