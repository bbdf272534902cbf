"""Costing against fractions.Fraction, over random prices and quantities."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from providers.costing import (
    MICRO_UNITS,
    UNITS,
    PricedModel,
    Quantities,
    Rate,
    Variant,
    cost,
    tokens_total,
)

TIERS = (200_000, 10**9)
VALUES = {"resolution": ("480p", "720p"), "quality": ("hd",), "service_tier": ("batch", "flex")}
CONDITIONS = [f"{key}={value}" for key, values in VALUES.items() for value in ("", *values)]

border = st.sampled_from([tier + step for tier in TIERS for step in (-1, 0, 1)])
small = st.integers(0, 20)  # parts that fit into their whole, or don't by a little
count = small | st.integers(0, 10**9) | border
maybe = st.none() | count
quantities = st.builds(
    Quantities,
    **dict.fromkeys(Quantities.__struct_fields__[:9], count),  # the token counts
    **dict.fromkeys(("images", "characters", "searches", "pages"), maybe),
    **{name: st.none() | st.integers(0, 10**15) for name in MICRO_UNITS},
    requests=count,
    cached_included=st.booleans(),
    variant=st.builds(Variant, **{key: st.sampled_from([None, "", *values]) for key, values in VALUES.items()}),
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


def by_the_book(rates: list[Rate], sent: Quantities) -> Fraction:
    """The exact cost in nano-USD, written a second time and slowly, straight from the rules."""
    written = max(sent.cache_write_tokens, sent.cache_write_1h_tokens)
    beside = 0 if sent.cached_included else sent.cached_input_tokens + written
    whole = sent.input_tokens + beside
    stated = {f"{key}={value or ''}" for key, value in sent.variant._asdict().items()}
    hold = [r for r in rates if set(terms(r)) <= stated and (r.above == 0 or whole > r.above)]
    asked = {r.unit: Fraction(r.nano_per_million, 10**6) for r in sorted(hold, key=preference)}
    hour = sent.cache_write_1h_tokens if "cache_write_1h_tokens" in asked else 0
    inputs = [
        ("cached_input_tokens", sent.cached_input_tokens),
        ("cache_write_1h_tokens", hour),
        ("cache_write_tokens", written - hour),
        ("input_audio_tokens", sent.input_audio_tokens),
        ("image_tokens", sent.image_tokens),
        ("input_tokens", 10**12),
    ]
    outputs = [
        ("reasoning_tokens", sent.reasoning_tokens),
        ("output_audio_tokens", sent.output_audio_tokens),
        ("output_tokens", 10**12),
    ]
    total = Fraction(0)
    for left, parts in ((whole, inputs), (sent.output_tokens, outputs)):
        for unit, quantity in parts:
            taken = min(quantity, left) if unit in asked else 0
            total, left = total + taken * asked.get(unit, 0), left - taken  # noqa: PLW2901
    own = {"image": "images", "image_edit": "images", "search": "searches", "crawl": "pages"}.get(sent.category)
    for unit in ("requests", "images", "megapixels", "seconds", "characters", "searches", "pages"):
        given_ = getattr(sent, unit)
        quantity = sent.requests if given_ is None and unit == own else given_ or 0
        total += asked.get(unit, 0) * Fraction(quantity, 10**6 if unit in MICRO_UNITS else 1)
    return total


def terms(rate: Rate) -> list[str]:
    return [term for term in rate.variant.split(",") if term]


def preference(rate: Rate) -> tuple[int, int, list[int]]:
    """Worst first: more conditions beat fewer, then the higher tier, then the earlier text."""
    return len(terms(rate)), rate.above, [-ord(letter) for letter in rate.variant] + [1]


ALL = [
    Rate(unit, variant, above, 1_000_003 * (number + 1) + above)
    for number, unit in enumerate(UNITS)
    for variant, above in (("", 0), ("", TIERS[0]), ("quality=hd,service_tier=batch", 0), ("resolution=", TIERS[1]))
]
PLAIN = [rate for rate in ALL if not rate.variant]
COUNTS: dict[str, Any] = dict.fromkeys(Quantities.__struct_fields__[:9], 77_777) | dict.fromkeys(MICRO_UNITS, 1_234_567)
FULL = Quantities(**COUNTS, variant=Variant(quality="hd", service_tier="batch"))
MORE_THAN_THE_WHOLE = structs.replace(FULL, input_tokens=100_000, output_tokens=100_000)
AT_THE_BORDER = structs.replace(FULL, input_tokens=TIERS[0], cache_write_1h_tokens=0, variant=Variant())


@example(ALL, FULL)
@example(ALL, MORE_THAN_THE_WHOLE)
@example(ALL, structs.replace(MORE_THAN_THE_WHOLE, cached_included=False))
@example(ALL, AT_THE_BORDER)
@example(PLAIN, AT_THE_BORDER)
@example(ALL, structs.replace(AT_THE_BORDER, input_tokens=TIERS[0] + 1))
@example(PLAIN, structs.replace(AT_THE_BORDER, input_tokens=TIERS[0] + 1))
@example(ALL, structs.replace(AT_THE_BORDER, input_tokens=TIERS[0] - 2 * 77_777, cached_included=False))
@example(ALL, structs.replace(AT_THE_BORDER, input_tokens=TIERS[0] - 2 * 77_777 + 1, cached_included=False))
@given(rates, quantities)
def test_the_total_is_the_exact_sum_rounded_half_even_once(rates: list[Rate], sent: Quantities) -> None:
    answer = cost(PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates)), sent)
    exact = by_the_book(rates, sent)
    assert answer.total_nano == round(exact)  # Python rounds fractions half to even
    assert answer.input_nano + answer.output_nano + answer.other_nano == answer.total_nano
    assert min(answer[:3]) >= 0
    assert Fraction(answer.unrounded_usd) == exact / 10**9


@given(rates, quantities)
def test_every_token_bills_at_most_once_and_each_line_names_a_rate_of_the_price(
    rates: list[Rate], sent: Quantities
) -> None:
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates))
    answer = cost(price, sent)
    assert sum(line.quantity for line in answer.lines if line.part != "other") <= tokens_total(sent)
    assert {(line.unit, line.nano_per_million) for line in answer.lines} <= {
        (r.unit, r.nano_per_million) for r in rates
    }
    assert answer.billed is (answer.lines != ())
    assert cost(PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(reversed(rates))), sent) == answer


@given(quantities)
def test_with_input_and_output_rates_every_token_bills_exactly_once(sent: Quantities) -> None:
    units = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(Rate(unit, "", 0, 1) for unit in units))
    answer = cost(price, sent)
    assert sum(line.quantity for line in answer.lines) == tokens_total(sent)


@given(rates, quantities)
def test_the_tier_that_the_id_itself_asks_for_counts_whatever_the_call_states(
    rates: list[Rate], sent: Quantities
) -> None:
    price = PricedModel(1, "p", "m", date(2025, 1, 1), "", tuple(rates), service_tier="batch")
    asked = structs.replace(sent, variant=sent.variant._replace(service_tier="batch"))
    assert cost(price, sent).total_nano == round(by_the_book(rates, asked))
