"""What public price lists say, in our own units: the types that every source yields, and what the sources share.

`sync_prices` asks the modules here. Nothing here writes: an offer becomes a price only where an operator accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lib import money
from providers.costing import Rate
from providers.detection import slugify

LARGEST = 2**63 - 1  # what the table's column holds

# The sources' ids of companies that we know under another slug; any other company keeps its own id.
OUR_SLUGS = {
    "amazon": "bedrock",
    "aws": "bedrock",
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "bedrock_mantle": "bedrock",
    "black_forest_labs": "bfl",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "dashscope": "alibaba",
    "exa_ai": "exa",
    "fal_ai": "fal",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "meta_llama": "meta",
    "moonshot": "moonshotai",
    "nvidia_nim": "nvidia",
    "ollama": "local",
    "palm": "google",
    "runwayml": "runway",
    "text-completion-codestral": "mistral",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai": "google",
    "voyage": "voyageai",
    "x-ai": "xai",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One price as a source states it; ids are in lower case, `aliases` and `rates` sorted.

    `provider` is our slug, or one made of the source's own id for a company that we do not know. `pattern` is an id;
    a glob only for the fine-tunes of a model, whose ids end with the customer's own text. `valid_from` None: not said.
    """

    provider: str
    provider_name: str
    pattern: str
    aliases: tuple[str, ...]
    category: str
    valid_from: date | None
    rates: tuple[Rate, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a source states and we cannot take over; `reason` is one of a few fixed texts, so that it can be counted.

    It stands for a whole price, or for a part of one that is offered without it: then the reason begins with "offered".
    """

    provider: str
    model: str
    reason: str


def our_slug(company: str) -> str:
    """The slug of a source's company; of one that we do not know, made of the source's id."""
    return OUR_SLUGS.get(company) or slugify(company)


def nano_per_million(usd: Decimal, per: int = 1, times: int = 1) -> int:
    """`times` so many USD for `per` units as a rate, in integers: half-even where the figure is finer than a rate can be.

    Raises ValueError for what is no price: negative, not finite, too large to store, or so small that it would be free.
    """
    if not usd.is_finite() or usd < 0 or (usd and not -40 < usd.adjusted() < 20):
        raise ValueError(f"{usd} is no price")
    numerator, denominator = usd.as_integer_ratio()
    rate = money.half_even(numerator * times * money.NANO * 1_000_000, denominator * per)
    if rate > LARGEST or (usd and not rate):
        raise ValueError(f"{usd} for {per} is out of range")
    return rate


def in_order(rates: set[Rate]) -> tuple[Rate, ...]:
    return tuple(sorted(rates, key=lambda rate: (rate.unit, rate.variant, rate.above)))
