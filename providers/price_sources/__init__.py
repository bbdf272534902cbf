"""Readers of public price lists: the types that every source yields, and what the sources share.

Nothing here writes to the database: an offer becomes a price only when an operator accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lib import money
from providers.costing import Rate
from providers.detection import slugify

MAX_RATE = 2**63 - 1  # the limit of the database column

# Our slugs of companies with another id in a source; any other company keeps the source's id.
PROVIDER_SLUGS = {
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
    "github_copilot": "github-copilot",
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
    """One price in a source; ids are in lower case, `aliases` and `rates` are sorted.

    `provider` is our slug, or one made from the source's id of an unknown company. `pattern` is a model id, or a glob
    for the fine-tunes of a model, whose ids end with the customer's own text. `valid_from` is None if not stated.
    `without` names what the source states and the rates lack; `hosts` are the provider's, as patterns of rules.
    """

    provider: str
    provider_name: str
    pattern: str
    aliases: tuple[str, ...]
    category: str
    valid_from: date | None
    rates: tuple[Rate, ...]
    source: str
    without: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Omission:
    """A price in a source that cannot be imported. `reason` is a constant text, so that it can be counted."""

    provider: str
    model: str
    reason: str


def provider_slug(company: str) -> str:
    """Returns our slug of a source's company, made from the source's id if the company is unknown."""
    return PROVIDER_SLUGS.get(company) or slugify(company)


def nano_per_million(usd: Decimal, per: int = 1, times: int = 1) -> int:
    """Converts `times` x `usd` per `per` units to nano-USD per million units, rounded half-even.

    Raises ValueError if it is not a price: negative, not finite, too large to store, or so small that it rounds to zero.
    """
    if not usd.is_finite() or usd < 0 or (usd and not -40 < usd.adjusted() < 20):
        raise ValueError(f"{usd} is not a price")
    numerator, denominator = usd.as_integer_ratio()
    rate = money.divide_half_even(numerator * times * money.NANO * 1_000_000, denominator * per)
    if rate > MAX_RATE or (usd and not rate):
        raise ValueError(f"{usd} for {per} is out of range")
    return rate


def sort_rates(rates: set[Rate]) -> tuple[Rate, ...]:
    return tuple(sorted(rates, key=lambda rate: (rate.unit, rate.variant, rate.above)))
