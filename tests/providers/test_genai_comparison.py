"""Our cost against genai-prices' own calculation: every model that both know, many usages, no difference unexplained.

A difference counts under a cause only where it vanishes once the cause is taken out of their calculation.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any, NamedTuple

import pytest

from lib import money
from providers import model_ids
from providers.costing import PricedModel, Quantities, Variant, cost
from providers.price_book import Entry, PriceBook
from providers.price_sources import Left, Offer, genai

pytestmark = pytest.mark.usefixtures("genai_prices")
SEED, USAGES, EACH = 20261122, 84, 5  # so many usages, of which each price meets some in turn
BEYOND = "they refuse parts that add up to more than the whole; we bill no part beyond it"
MINIMUM = "they bill at least ten seconds of audio a call"
FINER = "a rate by the hour that no rate by the second equals: at most one nano-USD"
CAUSES = {BEYOND, MINIMUM, FINER, *genai.BESIDE.values()}


THE_SAME = "the same to the nano-USD"
FIRST = date(2025, 1, 1)  # a day for prices of which no date is known
PARTS = ("input_audio_tokens", "input_image_tokens")
NOT_COUNTED = (
    *("cache_audio_read_tokens", "cache_image_read_tokens", "storage_searches"),
    *("input_annotated_document_pages", "input_text_messages"),
)


class Sold(NamedTuple):
    """A model of theirs under the id that we look up, with its day and the service tier that is asked for."""

    provider: Any
    model: Any
    slug: str
    pattern: str
    day: date | None
    tier: str
    context: dict[str, str] | None


@cache
def everything() -> tuple[Offer | Left, ...]:
    return tuple(genai.offers())


@cache
def book() -> PriceBook:
    entries = [
        Entry(
            PricedModel(number, one.provider, one.pattern, one.valid_from or date.min, one.source, one.rates),
            frozenset(one.aliases),
        )
        for number, one in enumerate(everything())
        if isinstance(one, Offer)
    ]
    slugs = {entry.price.provider for entry in entries}
    return PriceBook(1, entries, {slug: model_ids.vendor_names(slug, ()) for slug in slugs})


def sold() -> Iterator[Sold]:
    """Each model that is offered, on each day from which it has another price, at each service tier that is ours."""
    from genai_prices.data import providers

    days: dict[tuple[str, str], list[date | None]] = {}
    for one in everything():
        if isinstance(one, Offer):
            days.setdefault((one.provider, one.pattern), []).append(one.valid_from)
    for provider in providers:
        seller = genai.seller(provider)
        for model in provider.models:
            pattern = genai.ids(provider, model)[0] + seller.suffix
            tiers = {genai.VARIANTS[pair]: dict([pair]) for pair in genai._conditions(model) if pair in genai.VARIANTS}
            for day in days.get((seller.slug, pattern), []):
                for tier, context in [("", None), *sorted(tiers.items())]:
                    yield Sold(provider, model, seller.slug, pattern, day, tier, context)


@cache
def usages() -> list[dict[str, int]]:
    """Their field names; parts may overlap, and may add up to more than their whole."""
    draw = random.Random(SEED)

    def some(most: int) -> int:
        return draw.choice((0, draw.randint(0, most)))

    found = []
    for _ in range(USAGES):
        whole = draw.choice((0, 10, 999, 32_001, 128_000, 128_001, 199_999, 200_000, 200_001, 272_001, 1_000_003))
        output = draw.choice((0, 1, 333, 70_001))
        usage = {
            name: some(whole * 2 // 5) for name in ("cache_read_tokens", "cache_write_tokens", "input_image_tokens")
        }
        usage["cache_read_tokens"] = draw.choice((usage["cache_read_tokens"], whole * 9 // 10))
        usage |= {"input_tokens": whole, "output_tokens": output, "input_audio_tokens": some(whole // 2)}
        usage["cache_write_1h_tokens"] = some(usage["cache_write_tokens"])
        usage["cache_audio_read_tokens"] = some(min(usage["cache_read_tokens"], usage["input_audio_tokens"]))
        not_audio = usage["cache_read_tokens"] - usage["cache_audio_read_tokens"]
        usage["cache_image_read_tokens"] = some(min(not_audio, usage["input_image_tokens"]))
        usage |= {"output_reasoning_tokens": some(output // 2), "output_audio_tokens": some(output // 2)}
        usage |= {name: some(5) for name in ("web_searches", "input_text_messages")}
        usage["storage_searches"] = draw.choice((0, 0, 0, 0, 0, 0, 2))
        usage |= {"input_characters": some(10_000), "input_document_pages": some(40)}
        usage["input_annotated_document_pages"] = some(usage["input_document_pages"])
        usage["audio_seconds"] = usage["input_audio_seconds"] = draw.choice((0, 3, 7_777))
        found.append(usage)
    return found


def apart(usage: dict[str, int]) -> int:
    """What lies beside the input by the other convention."""
    return usage["cache_read_tokens"] + usage["cache_write_tokens"]


def tell(capsys: pytest.CaptureFixture[str], lines: list[str]) -> None:
    with capsys.disabled():
        sys.stdout.write("".join(f"\ngenai-prices: {line}" for line in lines))


def ours(priced: PricedModel, usage: dict[str, int], tier: str, *, beside: bool) -> int:
    """Nano-USD; `beside`: told by the convention in which cached tokens are no part of the input."""
    quantities = Quantities(
        input_tokens=usage["input_tokens"] - (apart(usage) if beside else 0),
        cached_included=not beside,
        output_tokens=usage["output_tokens"],
        cached_input_tokens=usage["cache_read_tokens"],
        cache_write_tokens=usage["cache_write_tokens"],
        cache_write_1h_tokens=usage["cache_write_1h_tokens"],
        reasoning_tokens=usage["output_reasoning_tokens"],
        input_audio_tokens=usage["input_audio_tokens"],
        output_audio_tokens=usage["output_audio_tokens"],
        image_tokens=usage["input_image_tokens"],
        seconds=usage["audio_seconds"] * 10**6,
        characters=usage["input_characters"],
        searches=usage["web_searches"],
        pages=usage["input_document_pages"],
        variant=Variant(service_tier=tier or None),
        category="text",
    )
    return cost(priced, quantities).total_nano


def theirs(one: Sold, usage: dict[str, int], *, minimum: bool = True) -> int | None:
    """Nano-USD; None where they refuse the usage. Without `minimum` the price alone counts, not their rule beside it."""
    from genai_prices import Usage

    at = datetime.combine(one.day or FIRST, time(12), UTC)
    counted = Usage(**usage)
    try:
        if not minimum:
            return money.nano_from_usd(one.model.get_prices(at, one.context).calc_price(counted)["total_price"])
        answer = one.model.calc_price(counted, one.provider, genai_request_timestamp=at, price_context=one.context)
        return money.nano_from_usd(answer.total_price)
    except ValueError:
        parts = sum(usage[name] for name in ("cache_read_tokens", "cache_write_tokens", *PARTS))
        assert parts > usage["input_tokens"]
        return None


def cause(one: Sold, usage: dict[str, int], told: int | None, nano: int) -> str:
    """Why their figure is another one than ours; "other" where nothing explains it."""
    if told is None:
        return BEYOND
    if theirs(one, usage, minimum=False) == nano:
        return MINIMUM
    figures = vars(one.model.get_prices(datetime.combine(one.day or FIRST, time(12), UTC), one.context))
    reasons = [reason for key, reason in genai.BESIDE.items() if key in figures]
    if reasons and theirs(one, usage | dict.fromkeys(NOT_COUNTED, 0)) in (nano, None):
        return reasons[0]
    return FINER if "audio_hours" in figures and abs(told - nano) <= 1 else "other"


def test_every_model_costs_the_same_but_for_the_causes_listed(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    unexplained = []
    for number, one in enumerate(sold()):
        priced = book().find(one.slug, one.pattern, one.day or FIRST)
        assert priced is not None
        for usage in (usages() * 2)[number * EACH % USAGES :][:EACH]:
            told = theirs(one, usage)
            for beside in (False, True)[: 2 if usage["input_tokens"] >= apart(usage) else 1]:
                nano = ours(priced, usage, one.tier, beside=beside)
                why = THE_SAME if told == nano else cause(one, usage, told, nano)
                counts[why] += 1
                if why == "other":
                    unexplained.append((one.slug, one.pattern, one.tier, told, nano, usage))
    tell(capsys, [f"{count:7,} costs: {name}" for name, count in counts.most_common()])
    assert unexplained == []
    assert counts.keys() - {THE_SAME} <= CAUSES
    assert counts[THE_SAME] > 20_000


def test_what_is_not_compared_is_left_for_a_reason_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter(one.reason for one in everything() if isinstance(one, Left))
    tell(capsys, [f"{count:7,} prices left, or in part: {reason}" for reason, count in counts.most_common()])
    whole = {genai.BY_TIME_OF_DAY, genai.NO_PRICE, genai.UNCOUNTED, genai.UNKNOWN_CONDITION}
    assert counts.keys() <= {*genai.BESIDE.values(), *whole}


def test_each_id_that_is_offered_is_the_same_model_in_their_eyes_and_in_our_book() -> None:
    from genai_prices.data import providers

    offered = {(one.provider, one.pattern) for one in everything() if isinstance(one, Offer)}
    for provider in providers:
        seller = genai.seller(provider)
        for model in provider.models:
            first, *others = genai.ids(provider, model)
            pattern = first + seller.suffix
            for text in others if (seller.slug, pattern) in offered else ():
                priced = book().find(seller.slug, text + seller.suffix, date(2026, 11, 22))
                assert provider.find_model(text) is model
                assert priced is not None
                assert priced.pattern == pattern
