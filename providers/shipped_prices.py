"""Loads the prices shipped with a release, at each `migrate`. No stored price changes.

A model without a price gets its shipped ones at once. Where the provider already has a price of the model, the release
makes a proposal, which an operator accepts or rejects.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from lib import money, retry
from providers import price_book, price_edits, price_sources, price_sync
from providers.costing import Rate
from providers.models import Price, PriceProposal, Provider
from providers.price_book import PriceBook
from providers.price_sources import Offer, Omission

DATA = Path(__file__).resolve().parent / "data" / "prices.json"
MILLION = 1_000_000

Row = dict[str, Any]
Known = set[tuple[str, str, date, tuple[Rate, ...]]]  # every revision: provider, pattern, day, rates


@retry.atomic
def load(*, at: datetime) -> tuple[int, int]:
    """Loads the file. Returns the number of prices added and of prices that are open as proposals."""
    providers = {provider.slug: provider for provider in Provider.objects.all()}
    rows: list[Row] = json.loads(DATA.read_text(encoding="utf-8"))
    offers = [(row, _as_offer(row, providers[row["provider"]])) for row in rows if row["provider"] in providers]
    known, book = _known_revisions(), price_book.current()
    priced = {(provider, pattern) for provider, pattern, _, _ in known}
    new: list[tuple[Row, Offer]] = []
    statements: list[Offer | Omission] = []
    for row, offer in offers:
        if (offer.provider, offer.pattern, offer.valid_from, offer.rates) in known:
            statements.append(Omission(offer.provider, offer.pattern, "loaded before"))
        elif _has_price(offer, priced, book):
            statements.append(offer)
        else:
            new.append((row, offer))
    price_edits.add_revisions([(_as_price(row, providers[offer.provider]), offer.rates) for row, offer in new])
    return len(new), _propose(statements, at)


def _has_price(offer: Offer, priced: set[tuple[str, str]], book: PriceBook) -> bool:
    """Tells whether the model, or a glob or another name of it, has a price of any day: an addition would replace it."""
    names = (offer.pattern, *offer.aliases)
    return any((offer.provider, name) in priced or book.sells(offer.provider, name) for name in names)


def _propose(statements: list[Offer | Omission], at: datetime) -> int:
    if not any(isinstance(statement, Offer) for statement in statements):
        return 0
    counts = price_sync.run(statements, source=PriceProposal.Source.SHIPPED, at=at, new_from=None)
    return counts.proposed.total()


def _known_revisions() -> Known:
    prices = Price.objects.select_related("provider").prefetch_related("rates")
    return {(price.provider.slug, price.pattern, price.valid_from, price_book.rates_of(price)) for price in prices}


def _as_price(row: Row, provider: Provider) -> Price:
    columns = {name: value for name, value in row.items() if name not in ("provider", "valid_from", "rates")}
    return Price(provider=provider, valid_from=date.fromisoformat(row["valid_from"]), shipped=True, **columns)


def _as_offer(row: Row, provider: Provider) -> Offer:
    return Offer(
        provider=provider.slug,
        provider_name=provider.name,
        pattern=row["pattern"],
        aliases=tuple(sorted(row["aliases"])),
        category=row["category"],
        valid_from=date.fromisoformat(row["valid_from"]),
        rates=price_sources.sort_rates({_as_rate(rate) for rate in row["rates"]}),
        source=row["source"],
    )


def _as_rate(rate: Row) -> Rate:
    """Converts USD per `per` units (the file) to nano-USD per million units (the table)."""
    per_million = money.nano_from_usd(Decimal(rate["usd"]) * MILLION / rate["per"])
    return Rate(rate["unit"], rate.get("variant", ""), rate.get("above", 0), per_million)
