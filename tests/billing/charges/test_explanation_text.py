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
USAGE = {"input_tokens": 2000, "cached_input_tokens": 1200}


def set_price(*rates: tuple[str, str, int, int], pattern: str = MODEL) -> Price:
    """A price at OpenAI; each rate is unit, variant, above and nano-USD per million units."""
    price = Price(
        provider=Provider.objects.get(slug="openai"), pattern=pattern, valid_from=date(2026, 1, 1), source="x"
    )
    names = ("unit", "variant", "above", "nano_per_million")
    return price_edits.add_revision(
        price=price, rates=[PriceRate(**dict(zip(names, rate, strict=True))) for rate in rates]
    )


def explanation_of(**event: Any) -> dict[str, Any]:
    (result,) = record({"model": MODEL, "cost_usd": None, **event})
    explanation: dict[str, Any] = log_rows.explained_log(
        UsageLog.objects.get(event_key=ids.lookup_key(result.event_id))
    )["explanation"]
    return explanation


def charge_sentences(**event: Any) -> list[str]:
    """Sentences of the explanation, without those about the price's source and the provider."""
    text = explanation_of(**event)["text"]
    return [sentence for sentence in text if not sentence.startswith(("Price ", "Served by "))]


def test_cached_tokens_that_the_input_includes() -> None:
    set_price(*CACHED)
    assert charge_sentences(usage=USAGE) == [
        "1,200 cached input tokens at $0.30 per million = $0.00036",
        "800 other input tokens at $2.50 per million = $0.002",
        "Total: $0.00236 (exact).",
        "The 2,000 input tokens reported by the caller include cached tokens.",
        "1,200 of the 2,000 input tokens were cached: $0.30 per million instead of $2.50.",
    ]


def test_cached_tokens_that_are_reported_separately() -> None:
    set_price(*CACHED)
    assert charge_sentences(usage={**USAGE, "input_tokens": 800}, cached_tokens_included=False)[3:] == [
        "The caller reported 800 input tokens, and cached tokens separately: 2,000 in total.",
        "1,200 of the 2,000 input tokens were cached: $0.30 per million instead of $2.50.",
    ]


def test_token_kinds_without_a_separate_rate() -> None:
    set_price(("input_tokens", "", 0, 2_500_000_000), ("output_tokens", "", 0, 10_000_000_000))
    assert charge_sentences(usage={**USAGE, "output_tokens": 500, "reasoning_tokens": 1}) == [
        "2,000 input tokens at $2.50 per million = $0.005",
        "500 output tokens at $10.00 per million = $0.005",
        "Total: $0.01 (exact).",
        "The 2,000 input tokens reported by the caller include cached tokens.",
        "1,200 of the 2,000 input tokens were cached: this price has no separate rate for them.",
        "1 of the 500 output tokens was used for reasoning: this price has no separate rate for them.",
    ]


def test_a_token_kind_with_the_only_rate() -> None:
    set_price(("cached_input_tokens", "", 0, 300_000_000))
    assert charge_sentences(usage=USAGE)[3:] == ["1,200 of the 2,000 input tokens were cached: $0.30 per million."]


@pytest.mark.parametrize(
    ("written", "sentences"),
    [
        (
            {"cache_write_tokens": 500, "cache_write_1h_tokens": 200},
            [
                "200 of the 2,000 input tokens were written to the 1-hour cache: $6.00 per million instead of $3.00.",
                "300 of the 2,000 input tokens were written to the cache: $3.75 per million instead of $3.00.",
            ],
        ),
        (
            {"cache_write_1h_tokens": 200},
            ["200 of the 2,000 input tokens were written to the 1-hour cache: $6.00 per million instead of $3.00."],
        ),
    ],
)
def test_tokens_written_to_the_cache(written: dict[str, int], sentences: list[str]) -> None:
    set_price(
        ("input_tokens", "", 0, 3_000_000_000),
        ("cache_write_tokens", "", 0, 3_750_000_000),
        ("cache_write_1h_tokens", "", 0, 6_000_000_000),
    )
    text = charge_sentences(usage={"input_tokens": 2000, **written})
    assert [sentence for sentence in text if " of the 2,000 " in sentence] == sentences


def test_a_tier_names_its_input_threshold() -> None:
    set_price(("input_tokens", "", 0, 1_250_000_000), ("input_tokens", "", 200_000, 2_500_000_000))

    assert charge_sentences(event_id="at", usage={"input_tokens": 200_000}) == [
        "200,000 input tokens at $1.25 per million = $0.25",
        "Total: $0.25 (exact).",
    ]
    assert charge_sentences(event_id="above", usage={"input_tokens": 200_001}) == [
        "200,001 input tokens at $2.50 per million = $0.5000025",
        "Total: $0.5000025 (exact).",
        "With 200,001 input tokens in total, the rates for more than 200,000 input tokens apply.",
    ]


@pytest.mark.parametrize(
    ("variant", "sentences"),
    [
        (
            {"resolution": "720p"},
            [
                "5.5 seconds at $0.10 each = $0.55",
                "Total: $0.55 (exact).",
                "These rates apply to calls with resolution 720p.",
            ],
        ),
        (
            {},
            [
                "1 request at $0.25 each = $0.25",
                "Total: $0.25 (exact).",
                "These rates apply to calls with unspecified resolution.",
            ],
        ),
        (
            {"resolution": "1080p", "quality": "hd"},
            [
                "5.5 seconds at $0.15 each = $0.825",
                "Total: $0.825 (exact).",
                "These rates apply to calls with quality hd and resolution 1080p.",
            ],
        ),
    ],
)
def test_a_variant_names_its_rates(variant: dict[str, str], sentences: list[str]) -> None:
    usd_each = 10**15
    set_price(
        ("requests", "resolution=", 0, usd_each // 4),
        ("seconds", "resolution=720p", 0, usd_each // 10),
        ("seconds", "quality=hd,resolution=1080p", 0, usd_each * 15 // 100),
    )
    assert charge_sentences(usage={"seconds": "5.5"}, variant=variant) == sentences


def test_a_rounded_total_is_shown_before_and_after() -> None:
    set_price(("input_tokens", "", 0, 500_000))
    assert charge_sentences(usage={"input_tokens": 3}) == [
        "3 input tokens at $0.0005 per million = $0.0000000015",
        "Total: $0.0000000015, rounded once (half to even) to nine decimal places: $0.000000002.",
    ]


@pytest.mark.parametrize(
    ("unit", "rate", "usage", "sentence"),
    [
        ("searches", 8 * 10**12, {"searches": 1}, "1 search at $0.008 each = $0.008"),
        ("pages", 10**12, {"pages": 3}, "3 pages at $0.001 each = $0.003"),
        ("images", 4 * 10**13, {"images": 1}, "1 image at $0.04 each = $0.04"),
        ("characters", 30 * 10**9, {"characters": 12_345}, "12,345 characters at $30.00 per million = $0.37035"),
        ("input_tokens", 10**15, {"input_tokens": 1}, "1 input token at $1,000,000.00 per million = $1.00"),
        (
            "output_audio_tokens",
            10**9,
            {"output_tokens": 7, "output_audio_tokens": 7},
            "7 audio output tokens at $1.00 per million = $0.000007",
        ),
        ("megapixels", 10**13, {"megapixels": "1.048576"}, "1.048576 megapixels at $0.01 each = $0.01048576"),
        ("requests", 0, {}, "1 request at $0.00 each = $0.00"),
    ],
)
def test_each_unit_has_a_line(unit: str, rate: int, usage: dict[str, Any], sentence: str) -> None:
    set_price((unit, "", 0, rate))
    assert charge_sentences(usage=usage)[0] == sentence


@pytest.mark.parametrize(
    ("event", "sentences"),
    [
        ({}, ["Unpriced, not free: no known price covers this use of odd-model at OpenAI."]),
        ({"cost_usd": "1234.5"}, ["The caller stated the cost: $1,234.50."]),
        ({"status_code": 500}, ["A failed call without usage costs nothing."]),
    ],
)
def test_a_charge_without_a_price(event: dict[str, Any], sentences: list[str]) -> None:
    assert charge_sentences(**event) == sentences


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-4o", "for gpt-4o at OpenAI, valid from 2025-01-01, matched by exact model id"),
        ("gpt-4o-2024-08-06", "for gpt-4o at OpenAI, valid from 2025-01-01, matched by an alias of the model"),
        ("glob-7", "for glob-* at OpenAI, valid from 2026-01-01, matched by a model pattern"),
    ],
)
def test_the_price_names_how_it_was_matched(model: str, price: str) -> None:
    set_price(("input_tokens", "", 0, 1), pattern="glob-*")
    text = explanation_of(model=model, usage={"input_tokens": 1_000_000})["text"]
    assert [price in sentence for sentence in text if sentence.startswith("Price ")] == [True]


def test_a_deleted_price_is_named_by_its_number() -> None:
    price = set_price(("input_tokens", "", 0, 10**9))
    number = price.pk
    record({"model": MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}})
    price.delete()
    price_book.invalidate()
    explanation = log_rows.explained_log(UsageLog.objects.get())["explanation"]
    assert explanation["text"][0] == f"This charge of $0.001 comes from price {number}, which no longer exists."
    assert (explanation["price"], explanation["lines"]) == (None, [])


REALTIME = (
    ("input_tokens", "", 0, 4 * 10**9),
    ("input_audio_tokens", "", 0, 32 * 10**9),
    ("cached_input_tokens", "", 0, 400_000_000),
)


def test_cached_audio_counts_as_cached_and_not_as_audio() -> None:
    set_price(*REALTIME)
    usage = {"input_tokens": 1000, "input_audio_tokens": 800, "cached_input_tokens": 600, "cached_audio_tokens": 500}
    assert charge_sentences(usage=usage) == [
        "600 cached input tokens at $0.40 per million = $0.00024",
        "300 audio input tokens at $32.00 per million = $0.0096",
        "100 other input tokens at $4.00 per million = $0.0004",
        "Total: $0.01024 (exact).",
        "The 1,000 input tokens reported by the caller include cached tokens.",
        "500 of the 1,000 input tokens were cached audio: billed as cached tokens.",
        "600 of the 1,000 input tokens were cached: $0.40 per million instead of $4.00.",
        "300 of the 1,000 input tokens were audio: $32.00 per million instead of $4.00.",
    ]


@pytest.mark.parametrize(
    ("rates", "event", "sentence"),
    [
        (
            [("input_tokens", "", 0, 1)],
            {"variant": {"service_tier": "batch"}},
            "Unpriced, not free: the price of odd-model has no rate for service_tier=batch.",
        ),
        (
            [("input_tokens", "region=eu", 0, 1)],
            {"variant": {"region": "us"}},
            "Unpriced, not free: the price of odd-model has no rate for region=us.",
        ),
        (
            [("input_tokens", "region=eu", 0, 1)],
            {},
            "Unpriced, not free: the price of odd-model has no rate for an unspecified region.",
        ),
        (
            [("input_tokens", "hours=16:30-00:30", 0, 1)],
            {"occurred_at": "2026-11-22T09:05:00Z"},
            "Unpriced, not free: the price of odd-model has no rate for hours=09:05.",
        ),
        (
            [("images", "", 0, 1)],
            {},
            "Unpriced, not free: the price of odd-model needs a quantity that this call does not state.",
        ),
        ([], {}, "Unpriced, not free: no known price covers this use of odd-model at OpenAI."),
    ],
)
def test_an_unpriced_call_names_what_its_price_does_not_know(
    rates: list[tuple[str, str, int, int]], event: dict[str, Any], sentence: str
) -> None:
    set_price(*rates)
    explanation = explanation_of(usage={"input_tokens": 1000}, **event)
    assert explanation["text"][0] == sentence
    assert (explanation["price"], explanation["lines"]) == (None, [])


def test_the_conditions_of_a_rate_are_named() -> None:
    set_price(("input_tokens", "", 0, 2 * 10**9), ("input_tokens", "hours=09:00-10:00,service_tier=batch", 0, 10**9))
    sent: dict[str, Any] = {"usage": {"input_tokens": 1000}, "variant": {"service_tier": "batch"}}
    assert charge_sentences(**sent, occurred_at="2026-11-22T09:05:00Z") == [
        "1,000 input tokens at $1.00 per million = $0.001",
        "Total: $0.001 (exact).",
        "These rates apply to calls with UTC hours 09:00-10:00 and service tier batch.",
    ]


def test_a_row_of_many_requests_says_whether_a_threshold_was_passed() -> None:
    set_price(("input_tokens", "", 0, 10**9), ("input_tokens", "", 200_000, 2 * 10**9))
    usage = {"input_tokens": 500_000, "requests": 10}
    assert charge_sentences(usage=usage)[2:] == [
        "No request of these 10 is known to have had more than 200,000 input tokens."
    ]
    assert charge_sentences(usage=usage, variant={"context": "200k-1M"}, event_id="long")[2:] == [
        'With 10 requests with the context "200k-1M", the rates for more than 200,000 input tokens apply.'
    ]
    usage["requests"] = 0
    assert charge_sentences(usage=usage, variant={"context": "200k-1M"}, event_id="sum")[2:] == [
        (
            'With an unstated number of requests with the context "200k-1M", '
            "the rates for more than 200,000 input tokens apply."
        )
    ]


def test_a_cost_that_the_vendor_stated_is_no_calculation() -> None:
    explanation = explanation_of(usage={"input_tokens": 1000})
    log = UsageLog.objects.latest("id")
    log.cost_source, log.cost_total, log.cost_other = "vendor", 18_000_000, 18_000_000
    log.is_priced, log.effective_nano = True, 18_000_000
    assert explanation["text"][0].startswith("Unpriced")
    assert (
        log_rows.explained_log(log)["explanation"]["text"][0] == "The vendor stated the cost in its response: $0.018."
    )
