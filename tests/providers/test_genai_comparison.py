"""Compares our costs with genai-prices' own calculation, for every model that both have.

A difference is attributed to a cause only if it vanishes when that cause is removed from their calculation.
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
from providers.costing import PricedModel, cost
from providers.price_book import PriceBook, PriceEntry
from providers.price_sources import Offer, Omission, genai
from providers.quantities import Quantities, Variant

pytestmark = pytest.mark.usefixtures("genai_prices")
SEED, USAGE_COUNT, USAGES_PER_PRICE = 20261122, 84, 5  # each price takes the next 5 of 84 usages
PARTS_EXCEED_TOTAL = "they refuse parts that add up to more than the total; we cap the parts at the total"
MINIMUM_AUDIO = "they bill at least ten seconds of audio per call"
HOURLY_RATE = "an hourly rate has no exact rate per second: at most one nano-USD"
UNKNOWN_TIER = "they bill the standard price on days on which a service tier has none; we leave the call unpriced"
OFFERED_WITHOUT = "they bill a unit that the offer names as lacking"
CAUSES = {PARTS_EXCEED_TOTAL, MINIMUM_AUDIO, HOURLY_RATE, UNKNOWN_TIER, OFFERED_WITHOUT}
EQUAL = "equal to the nano-USD"
DEFAULT_DAY = date(2025, 1, 1)  # for prices without a known date
INPUT_PARTS = ("input_audio_tokens", "input_image_tokens")
UNCOUNTED_FIELDS = ("storage_searches", "input_annotated_document_pages", "input_text_messages")


class ComparedModel(NamedTuple):
    """A genai-prices model, the id that we look up, the day and the requested service tier."""

    provider: Any
    model: Any
    slug: str
    pattern: str
    day: date | None
    tier: str
    context: dict[str, str] | None


@cache
def statements() -> tuple[Offer | Omission, ...]:
    return tuple(genai.offers())


@cache
def book() -> PriceBook:
    entries = [
        PriceEntry(
            PricedModel(number, offer.provider, offer.pattern, offer.valid_from or date.min, offer.source, offer.rates),
            frozenset(offer.aliases),
        )
        for number, offer in enumerate(statements())
        if isinstance(offer, Offer)
    ]
    slugs = {entry.price.provider for entry in entries}
    return PriceBook(1, entries, {slug: model_ids.vendor_names(slug, ()) for slug in slugs})


def compared_models() -> Iterator[ComparedModel]:
    """Each offered model, on each day on which a price begins, at each service tier that we support."""
    from genai_prices.data import providers

    days: dict[tuple[str, str], list[date | None]] = {}
    for offer in statements():
        if isinstance(offer, Offer):
            days.setdefault((offer.provider, offer.pattern), []).append(offer.valid_from)
    for provider in providers:
        seller = genai.seller(provider)
        for model in provider.models:
            pattern = genai.offered_ids(provider, model)[0] + seller.suffix
            tiers = {genai.VARIANTS[pair]: dict([pair]) for pair in genai._conditions(model) if pair in genai.VARIANTS}
            for day in days.get((seller.slug, pattern), []):
                for tier, context in [("", None), *sorted(tiers.items())]:
                    yield ComparedModel(provider, model, seller.slug, pattern, day, tier, context)


@cache
def usages() -> list[dict[str, int]]:
    """Usages with genai-prices' field names; parts may overlap and may exceed their total."""
    draw = random.Random(SEED)

    def zero_or_up_to(maximum: int) -> int:
        return draw.choice((0, draw.randint(0, maximum)))

    samples = []
    for _ in range(USAGE_COUNT):
        input_tokens = draw.choice(
            (0, 10, 999, 32_001, 128_000, 128_001, 199_999, 200_000, 200_001, 272_001, 1_000_003)
        )
        output = draw.choice((0, 1, 333, 70_001))
        usage = {
            name: zero_or_up_to(input_tokens * 2 // 5)
            for name in ("cache_read_tokens", "cache_write_tokens", "input_image_tokens")
        }
        usage["cache_read_tokens"] = draw.choice((usage["cache_read_tokens"], input_tokens * 9 // 10))
        usage |= {
            "input_tokens": input_tokens,
            "output_tokens": output,
            "input_audio_tokens": zero_or_up_to(input_tokens // 2),
        }
        usage["cache_write_1h_tokens"] = zero_or_up_to(usage["cache_write_tokens"])
        usage["cache_audio_read_tokens"] = zero_or_up_to(min(usage["cache_read_tokens"], usage["input_audio_tokens"]))
        not_audio = usage["cache_read_tokens"] - usage["cache_audio_read_tokens"]
        usage["cache_image_read_tokens"] = zero_or_up_to(min(not_audio, usage["input_image_tokens"]))
        usage |= {
            "output_reasoning_tokens": zero_or_up_to(output // 2),
            "output_audio_tokens": zero_or_up_to(output // 2),
        }
        usage |= {name: zero_or_up_to(5) for name in ("web_searches", "input_text_messages")}
        usage["storage_searches"] = draw.choice((0, 0, 0, 0, 0, 0, 2))
        usage |= {"input_characters": zero_or_up_to(10_000), "input_document_pages": zero_or_up_to(40)}
        usage["input_annotated_document_pages"] = zero_or_up_to(usage["input_document_pages"])
        usage["audio_seconds"] = usage["input_audio_seconds"] = draw.choice((0, 3, 7_777))
        samples.append(usage)
    return samples


def cached_tokens(usage: dict[str, int]) -> int:
    """Cached tokens, which the other convention counts on top of the input."""
    return usage["cache_read_tokens"] + usage["cache_write_tokens"]


def print_lines(capsys: pytest.CaptureFixture[str], lines: list[str]) -> None:
    with capsys.disabled():
        sys.stdout.write("".join(f"\ngenai-prices: {line}" for line in lines))


def our_cost_nano(priced: PricedModel, usage: dict[str, int], tier: str, *, cache_excluded: bool) -> int | None:
    """Our cost in nano-USD, None if the price does not know the tier.

    With `cache_excluded`, the input tokens do not contain the cached ones.
    """
    quantities = Quantities(
        input_tokens=usage["input_tokens"] - (cached_tokens(usage) if cache_excluded else 0),
        cached_included=not cache_excluded,
        output_tokens=usage["output_tokens"],
        cached_input_tokens=usage["cache_read_tokens"],
        cache_write_tokens=usage["cache_write_tokens"],
        cache_write_1h_tokens=usage["cache_write_1h_tokens"],
        reasoning_tokens=usage["output_reasoning_tokens"],
        input_audio_tokens=usage["input_audio_tokens"],
        output_audio_tokens=usage["output_audio_tokens"],
        image_tokens=usage["input_image_tokens"],
        cached_audio_tokens=usage["cache_audio_read_tokens"],
        cached_image_tokens=usage["cache_image_read_tokens"],
        seconds=usage["audio_seconds"] * 10**6,
        characters=usage["input_characters"],
        searches=usage["web_searches"],
        pages=usage["input_document_pages"],
        variant=Variant(service_tier=tier or None),
        category="text",
        utc_minute=12 * 60,
    )
    result = cost(priced, quantities)
    return None if result.unknown_condition else result.total_nano


def their_cost_nano(compared: ComparedModel, usage: dict[str, int], *, minimum: bool = True) -> int | None:
    """Their cost in nano-USD, None if they refuse the usage; without `minimum`, no minimum audio length applies."""
    from genai_prices import Usage

    at = datetime.combine(compared.day or DEFAULT_DAY, time(12), UTC)
    counted = Usage(**usage)
    try:
        if not minimum:
            return money.nano_from_usd(
                compared.model.get_prices(at, compared.context).calc_price(counted)["total_price"]
            )
        calculation = compared.model.calc_price(
            counted, compared.provider, genai_request_timestamp=at, price_context=compared.context
        )
        return money.nano_from_usd(calculation.total_price)
    except ValueError:
        parts = sum(usage[name] for name in ("cache_read_tokens", "cache_write_tokens", *INPUT_PARTS))
        assert parts > usage["input_tokens"]
        return None


def cause_of_difference(
    compared: ComparedModel, usage: dict[str, int], their_nano: int | None, our_nano: int | None
) -> str:
    """Why their cost differs from ours; "other" if no known cause explains it."""
    if our_nano is None:
        at = datetime.combine(compared.day or DEFAULT_DAY, time(12), UTC)
        same = compared.model.get_prices(at, compared.context) == compared.model.get_prices(at)
        return UNKNOWN_TIER if same else "other"
    if their_nano is None:
        return PARTS_EXCEED_TOTAL
    if their_cost_nano(compared, usage, minimum=False) == our_nano:
        return MINIMUM_AUDIO
    figures = vars(
        compared.model.get_prices(datetime.combine(compared.day or DEFAULT_DAY, time(12), UTC), compared.context)
    )
    lacking = any(key not in genai.UNITS for key, amount in figures.items() if amount is not None)
    if lacking and their_cost_nano(compared, usage | dict.fromkeys(UNCOUNTED_FIELDS, 0)) in (our_nano, None):
        return OFFERED_WITHOUT
    return HOURLY_RATE if "audio_hours" in figures and abs(their_nano - our_nano) <= 1 else "other"


def test_every_model_costs_the_same_except_for_known_causes(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    unexplained = []
    for number, compared in enumerate(compared_models()):
        priced = book().find(compared.slug, compared.pattern, compared.day or DEFAULT_DAY)
        assert priced is not None
        for usage in (usages() * 2)[number * USAGES_PER_PRICE % USAGE_COUNT :][:USAGES_PER_PRICE]:
            their_nano = their_cost_nano(compared, usage)
            for cache_excluded in (False, True)[: 2 if usage["input_tokens"] >= cached_tokens(usage) else 1]:
                our_nano = our_cost_nano(priced, usage, compared.tier, cache_excluded=cache_excluded)
                cause_name = (
                    EQUAL if their_nano == our_nano else cause_of_difference(compared, usage, their_nano, our_nano)
                )
                counts[cause_name] += 1
                if cause_name == "other":
                    unexplained.append((compared.slug, compared.pattern, compared.tier, their_nano, our_nano, usage))
    print_lines(capsys, [f"{count:7,} costs: {name}" for name, count in counts.most_common()])
    assert unexplained == []
    assert counts.keys() - {EQUAL} <= CAUSES
    assert counts[EQUAL] > 20_000


def test_every_omission_has_a_known_reason(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter(omission.reason for omission in statements() if isinstance(omission, Omission))
    without = Counter(key for offer in statements() if isinstance(offer, Offer) for key in offer.without)
    lines = [f"{count:7,} prices left out: {reason}" for reason, count in counts.most_common()]
    print_lines(capsys, [*lines, *(f"{count:7,} offered without {key}" for key, count in without.most_common())])
    assert counts.keys() <= {genai.BY_TIME_OF_DAY, genai.NO_PRICE}


def test_every_offered_id_is_the_same_model_in_their_package_and_in_our_book() -> None:
    from genai_prices.data import providers

    offered = {(offer.provider, offer.pattern) for offer in statements() if isinstance(offer, Offer)}
    for provider in providers:
        seller = genai.seller(provider)
        for model in provider.models:
            first, *others = genai.offered_ids(provider, model)
            pattern = first + seller.suffix
            for text in others if (seller.slug, pattern) in offered else ():
                priced = book().find(seller.slug, text + seller.suffix, date(2026, 11, 22))
                assert provider.find_model(text) is model
                assert priced is not None
                assert priced.pattern == pattern
