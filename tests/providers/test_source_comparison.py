"""The same 2,000 calls at the prices of genai-prices and of LiteLLM: equal, or different for a reason that is counted.

The entries of LiteLLM in litellm_sample.json are written by hand in the form of its file. The two sources state different
prices for some models: the counts show which, so that a change in a reader of ours shows too.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from providers import model_ids
from providers.costing import Cost, PricedModel, cost
from providers.price_book import PriceBook, PriceEntry
from providers.price_sources import Offer, Omission, genai, litellm
from providers.quantities import Quantities, Variant

pytestmark = pytest.mark.usefixtures("genai_prices")
SAMPLE = Path(__file__).with_name("litellm_sample.json")
SEED, CALLS, DAY = 20261201, 2000, date(2026, 12, 1)
EQUAL = "equal to the nano-USD"
ORDERS = (
    *[Variant()] * 14,
    *(Variant(service_tier="batch"), Variant(service_tier="flex")),
    *(Variant(service_tier="priority"), Variant(speed="fast"), Variant(inference_geo="us"), Variant(region="eu")),
    *(Variant(speed="fast", inference_geo="us"), Variant(search_context="high")),
)


def as_book(statements: list[Offer | Omission]) -> PriceBook:
    entries = [
        PriceEntry(
            PricedModel(number, offer.provider, offer.pattern, offer.valid_from or date.min, offer.source, offer.rates),
            frozenset(offer.aliases),
        )
        for number, offer in enumerate(statements)
        if isinstance(offer, Offer)
    ]
    slugs = {entry.price.provider for entry in entries}
    return PriceBook(1, entries, {slug: model_ids.vendor_names(slug, ()) for slug in slugs})


@cache
def books() -> tuple[PriceBook, PriceBook, list[tuple[str, str]]]:
    """The books of genai-prices and of LiteLLM, and the models of the sample."""
    sample = list(litellm.offers(SAMPLE))
    models = [(offer.provider, offer.pattern) for offer in sample if isinstance(offer, Offer)]
    return as_book(list(genai.offers())), as_book(sample), models


def draw_call(draw: random.Random) -> Quantities:
    """A call whose parts never exceed their totals."""
    input_tokens = draw.choice((10, 999, 128_001, 200_000, 200_001, 272_001))
    output_tokens = draw.choice((0, 1, 333, 70_001))
    writes = draw.choice((0, 0, draw.randint(0, input_tokens // 4)))
    return Quantities(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=draw.choice((0, draw.randint(0, input_tokens // 2))),
        cache_write_tokens=writes,
        cache_write_1h_tokens=draw.choice((0, writes // 2)),
        reasoning_tokens=draw.choice((0, output_tokens // 2)),
        searches=draw.choice((None, None, None, 2)),
        variant=draw.choice(ORDERS),
        category="text",
        utc_minute=draw.randrange(24 * 60),
    )


def compare(genai_cost: Cost, litellm_cost: Cost, model: str) -> str:
    """EQUAL, or why the costs differ: by the conditions that a source does not know, then by the lines of the costs."""
    unknown = [
        f"{source} has no price for {result.unknown_condition}"
        for source, result in (("genai-prices", genai_cost), ("LiteLLM", litellm_cost))
        if result.unknown_condition
    ]
    if genai_cost.unknown_condition and genai_cost.unknown_condition == litellm_cost.unknown_condition:
        return f"neither has a price for {genai_cost.unknown_condition}"
    if unknown:
        return " and ".join(unknown)
    if genai_cost.total_nano == litellm_cost.total_nano:
        return EQUAL
    first, second = ({line.unit: line for line in result.lines} for result in (genai_cost, litellm_cost))
    for unit in sorted(first.keys() ^ second.keys()):
        source = "genai-prices" if unit in first else "LiteLLM"
        return f"only {source} has a rate for {unit.replace('_', ' ')} of {model}"
    changed = [unit for unit, line in first.items() if line.nano_per_million != second[unit].nano_per_million]
    return f"they state different prices of {model}" if changed else "other"


def cost_of(book: PriceBook, provider: str, model: str, call: Quantities) -> Cost:
    price = book.find(provider, model, DAY)
    assert price is not None
    return cost(price, call)


def test_both_sources_rate_the_same_calls_equally_or_for_a_known_reason(capsys: pytest.CaptureFixture[str]) -> None:
    genai_book, litellm_book, models = books()
    draw, counts = random.Random(SEED), Counter[str]()
    for _ in range(CALLS):
        (provider, model), call = draw.choice(models), draw_call(draw)
        genai_cost, litellm_cost = (cost_of(book, provider, model, call) for book in (genai_book, litellm_book))
        counts[compare(genai_cost, litellm_cost, model)] += 1
    with capsys.disabled():
        sys.stdout.write("".join(f"\nboth sources: {count:5,} calls: {name}" for name, count in counts.most_common()))
    assert counts.total() == CALLS
    assert "other" not in counts
    assert counts[EQUAL] > 1000


def test_the_sample_lacks_only_what_it_names() -> None:
    lacking = {
        offer.pattern: offer.without for offer in litellm.offers(SAMPLE) if isinstance(offer, Offer) and offer.without
    }
    assert lacking == {"gemini-2.5-pro": ("google_maps_grounding_cost_per_query", "search_free_requests")}
