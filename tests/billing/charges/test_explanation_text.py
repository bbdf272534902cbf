"""A charge in plain English: cached tokens, tiers, variants, rounding, and every state a charge can be in."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from billing.models import UsageLog
from billing.reports import log_rows
from lib import ids
from providers import price_book, price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import record

pytestmark = pytest.mark.django_db

MODEL = "odd-model"
CACHED = (("input_tokens", "", 0, 2_500_000_000), ("cached_input_tokens", "", 0, 300_000_000))
USED = {"input_tokens": 2000, "cached_input_tokens": 1200}


def priced(*rates: tuple[str, str, int, int], pattern: str = MODEL) -> Price:
    """A price at OpenAI; each rate is unit, variant, above and nano-USD per million units."""
    price = Price(
        provider=Provider.objects.get(slug="openai"), pattern=pattern, valid_from=date(2026, 1, 1), source="x"
    )
    names = ("unit", "variant", "above", "nano_per_million")
    return price_edits.record(price=price, rates=[PriceRate(**dict(zip(names, rate, strict=True))) for rate in rates])


def explained(**event: Any) -> dict[str, Any]:
    (result,) = record({"model": MODEL, "cost_usd": None, **event})
    why: dict[str, Any] = log_rows.whole(UsageLog.objects.get(event_key=ids.key_of(result.event_id)))["explanation"]
    return why


def told(**event: Any) -> list[str]:
    """The sentences about the charge, without those about the price's source and the provider."""
    text = explained(**event)["text"]
    return [one for one in text if not one.startswith(("Price ", "Served by "))]


def test_cached_tokens_that_the_input_includes() -> None:
    priced(*CACHED)
    assert told(usage=USED) == [
        "1,200 cached input tokens at $0.30 a million = $0.00036",
        "800 other input tokens at $2.50 a million = $0.002",
        "Together $0.00236, exactly.",
        "The 2,000 input tokens that the caller reported include those of the cache.",
        "1,200 of the 2,000 input tokens were cached: $0.30 a million instead of $2.50.",
    ]


def test_cached_tokens_that_are_reported_apart() -> None:
    priced(*CACHED)
    assert told(usage={**USED, "input_tokens": 800}, cached_tokens_included=False)[3:] == [
        "The caller reported 800 input tokens, and those of the cache apart: 2,000 in all.",
        "1,200 of the 2,000 input tokens were cached: $0.30 a million instead of $2.50.",
    ]


def test_parts_without_a_rate_of_their_own() -> None:
    priced(("input_tokens", "", 0, 2_500_000_000), ("output_tokens", "", 0, 10_000_000_000))
    assert told(usage={**USED, "output_tokens": 500, "reasoning_tokens": 1}) == [
        "2,000 input tokens at $2.50 a million = $0.005",
        "500 output tokens at $10.00 a million = $0.005",
        "Together $0.01, exactly.",
        "The 2,000 input tokens that the caller reported include those of the cache.",
        "1,200 of the 2,000 input tokens were cached: this price has no rate of its own for them.",
        "1 of the 500 output tokens was reasoning: this price has no rate of its own for them.",
    ]


def test_a_part_that_alone_has_a_rate() -> None:
    priced(("cached_input_tokens", "", 0, 300_000_000))
    assert told(usage=USED)[3:] == ["1,200 of the 2,000 input tokens were cached: $0.30 a million."]


@pytest.mark.parametrize(
    ("written", "sentences"),
    [
        (
            {"cache_write_tokens": 500, "cache_write_1h_tokens": 200},
            [
                "200 of the 2,000 input tokens were written to the cache for an hour: $6.00 a million instead of $3.00.",
                "300 of the 2,000 input tokens were written to the cache: $3.75 a million instead of $3.00.",
            ],
        ),
        (
            {"cache_write_1h_tokens": 200},
            ["200 of the 2,000 input tokens were written to the cache for an hour: $6.00 a million instead of $3.00."],
        ),
    ],
)
def test_tokens_written_to_the_cache(written: dict[str, int], sentences: list[str]) -> None:
    priced(
        ("input_tokens", "", 0, 3_000_000_000),
        ("cache_write_tokens", "", 0, 3_750_000_000),
        ("cache_write_1h_tokens", "", 0, 6_000_000_000),
    )
    told_of = told(usage={"input_tokens": 2000, **written})
    assert [one for one in told_of if " of the 2,000 " in one] == sentences


def test_a_tier_says_above_which_input() -> None:
    priced(("input_tokens", "", 0, 1_250_000_000), ("input_tokens", "", 200_000, 2_500_000_000))

    assert told(event_id="at", usage={"input_tokens": 200_000}) == [
        "200,000 input tokens at $1.25 a million = $0.25",
        "Together $0.25, exactly.",
    ]
    assert told(event_id="above", usage={"input_tokens": 200_001}) == [
        "200,001 input tokens at $2.50 a million = $0.5000025",
        "Together $0.5000025, exactly.",
        "With 200,001 input tokens in all, which is more than 200,000, the rates above 200,000 hold.",
    ]


@pytest.mark.parametrize(
    ("variant", "sentences"),
    [
        (
            {"resolution": "720p"},
            [
                "5.5 seconds at $0.10 each = $0.55",
                "Together $0.55, exactly.",
                "These are the rates for resolution 720p.",
            ],
        ),
        (
            {},
            [
                "1 request at $0.25 each = $0.25",
                "Together $0.25, exactly.",
                "These are the rates for no stated resolution.",
            ],
        ),
        (
            {"resolution": "1080p", "quality": "hd"},
            [
                "5.5 seconds at $0.15 each = $0.825",
                "Together $0.825, exactly.",
                "These are the rates for quality hd and resolution 1080p.",
            ],
        ),
    ],
)
def test_a_variant_says_whose_rates_hold(variant: dict[str, str], sentences: list[str]) -> None:
    each = 10**15
    priced(
        ("requests", "resolution=", 0, each // 4),
        ("seconds", "resolution=720p", 0, each // 10),
        ("seconds", "quality=hd,resolution=1080p", 0, each * 15 // 100),
    )
    assert told(usage={"seconds": "5.5"}, variant=variant) == sentences


def test_what_is_rounded_is_told_before_and_after() -> None:
    priced(("input_tokens", "", 0, 500_000))
    assert told(usage={"input_tokens": 3}) == [
        "3 input tokens at $0.0005 a million = $0.0000000015",
        "Together $0.0000000015; rounded once, half to even, to a billionth of a dollar: $0.000000002.",
    ]


@pytest.mark.parametrize(
    ("unit", "rate", "usage", "sentence"),
    [
        ("searches", 8 * 10**12, {"searches": 1}, "1 search at $0.008 each = $0.008"),
        ("pages", 10**12, {"pages": 3}, "3 pages at $0.001 each = $0.003"),
        ("images", 4 * 10**13, {"images": 1}, "1 image at $0.04 each = $0.04"),
        ("characters", 30 * 10**9, {"characters": 12_345}, "12,345 characters at $30.00 a million = $0.37035"),
        ("input_tokens", 10**15, {"input_tokens": 1}, "1 input token at $1,000,000.00 a million = $1.00"),
        (
            "output_audio_tokens",
            10**9,
            {"output_tokens": 7, "output_audio_tokens": 7},
            "7 audio output tokens at $1.00 a million = $0.000007",
        ),
        ("megapixels", 10**13, {"megapixels": "1.048576"}, "1.048576 megapixels at $0.01 each = $0.01048576"),
        ("requests", 0, {}, "1 request at $0.00 each = $0.00"),
    ],
)
def test_each_unit_in_words(unit: str, rate: int, usage: dict[str, Any], sentence: str) -> None:
    priced((unit, "", 0, rate))
    assert told(usage=usage)[0] == sentence


@pytest.mark.parametrize(
    ("event", "sentences"),
    [
        ({}, ["No known price for odd-model at OpenAI rates what was used: unpriced, not free."]),
        ({"cost_usd": "1234.5"}, ["The caller stated the cost itself: $1,234.50."]),
        ({"status_code": 500}, ["A failed call without usage costs nothing."]),
    ],
)
def test_a_charge_that_no_price_made(event: dict[str, Any], sentences: list[str]) -> None:
    assert told(**event) == sentences


@pytest.mark.parametrize(
    ("model", "step"),
    [
        ("gpt-4o", "for gpt-4o at OpenAI, valid from 2025-01-01, found by the model's exact id"),
        ("gpt-4o-2024-08-06", "for gpt-4o at OpenAI, valid from 2025-01-01, found by another name of the model"),
        ("glob-7", "for glob-* at OpenAI, valid from 2026-01-01, found by a pattern that covers the model"),
    ],
)
def test_the_price_says_by_which_step_it_was_found(model: str, step: str) -> None:
    priced(("input_tokens", "", 0, 1), pattern="glob-*")
    text = explained(model=model, usage={"input_tokens": 1_000_000})["text"]
    assert [step in one for one in text if one.startswith("Price ")] == [True]


def test_a_price_that_is_stored_no_more_is_told_by_its_number() -> None:
    price = priced(("input_tokens", "", 0, 10**9))
    number = price.pk
    record({"model": MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}})
    price.delete()
    price_book.changed()
    why = log_rows.whole(UsageLog.objects.get())["explanation"]
    assert why["text"][0] == f"Price {number} made this charge and is stored no more: $0.001."
    assert (why["price"], why["lines"]) == (None, [])
