"""Loads the prices shipped with a release. Existing rows are never touched.

An upgrade loads them again: it adds new ones and keeps what an operator changed or superseded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from lib import money, retry
from providers import price_book
from providers.models import Price, PriceRate, Provider

DATA = Path(__file__).resolve().parent / "data" / "prices.json"
MILLION = 1_000_000


@retry.atomic
def load() -> int:
    """Adds the prices whose provider, pattern and day have no revision yet. Returns how many were added."""
    new = list(_missing(json.loads(DATA.read_text(encoding="utf-8"))))
    for price, rates in new:
        price.save(force_insert=True)
        PriceRate.objects.bulk_create(PriceRate(price=price, **rate) for rate in rates)
    if new:
        price_book.invalidate()
    return len(new)


def _missing(rows: list[dict[str, Any]]) -> Iterator[tuple[Price, list[dict[str, Any]]]]:
    """Yields the new prices with their rates. Prices of a provider that an operator removed are skipped."""
    stored = set(Price.objects.values_list("provider__slug", "pattern", "valid_from"))
    providers = dict(Provider.objects.values_list("slug", "pk"))
    for row in rows:
        slug, day = row.pop("provider"), date.fromisoformat(row.pop("valid_from"))
        rates = [_model_fields(rate) for rate in row.pop("rates")]
        if slug in providers and (slug, row["pattern"], day) not in stored:
            yield Price(provider_id=providers[slug], valid_from=day, shipped=True, **row), rates


def _model_fields(rate: dict[str, Any]) -> dict[str, Any]:
    """Converts USD per `per` units (the file) to nano-USD per million units (the table)."""
    per_million = money.nano_from_usd(Decimal(rate["usd"]) * MILLION / rate["per"])
    return {
        "unit": rate["unit"],
        "variant": rate.get("variant", ""),
        "above": rate.get("above", 0),
        "nano_per_million": per_million,
    }
