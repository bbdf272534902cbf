"""The prices that come with a release, put into the table without touching any row that is there.

An upgrade loads them again: new ones are added, and what an operator changed or superseded stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from lib import money
from providers import price_book
from providers.models import Price, PriceRate, Provider

DATA = Path(__file__).resolve().parent / "data" / "prices.json"
MILLION = 1_000_000


@transaction.atomic
def load() -> int:
    """Adds the prices whose provider, pattern and day have no row of any revision; how many these were."""
    new = list(_missing(json.loads(DATA.read_text(encoding="utf-8"))))
    for price, rates in new:
        price.save(force_insert=True)
        PriceRate.objects.bulk_create(PriceRate(price=price, **rate) for rate in rates)
    if new:
        price_book.changed()
    return len(new)


def _missing(rows: list[dict[str, Any]]) -> Iterator[tuple[Price, list[dict[str, Any]]]]:
    """A provider that an operator removed keeps its prices away too."""
    stored = set(Price.objects.values_list("provider__slug", "pattern", "valid_from"))
    providers = dict(Provider.objects.values_list("slug", "pk"))
    for row in rows:
        slug, day = row.pop("provider"), date.fromisoformat(row.pop("valid_from"))
        rates = [_columns(rate) for rate in row.pop("rates")]
        if slug in providers and (slug, row["pattern"], day) not in stored:
            yield Price(provider_id=providers[slug], valid_from=day, shipped=True, **row), rates


def _columns(rate: dict[str, Any]) -> dict[str, Any]:
    """The file says USD for so many units, as price lists do; the table nano-USD for a million."""
    per_million = money.nano_from_usd(Decimal(rate["usd"]) * MILLION / rate["per"])
    return {
        "unit": rate["unit"],
        "variant": rate.get("variant", ""),
        "above": rate.get("above", 0),
        "nano_per_million": per_million,
    }
