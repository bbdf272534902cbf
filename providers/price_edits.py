"""How a price is changed: never in place. What a log was rated with stays readable; the newest revision counts."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Max

from providers import price_book
from providers.models import Price, PriceRate, Provider


@transaction.atomic
def record(*, price: Price, rates: Iterable[PriceRate]) -> Price:
    """Stores the price with its rates as a new row, the highest revision of its provider, pattern and day."""
    Provider.objects.select_for_update().get(pk=price.provider_id)  # two editors of one price, one after the other
    same = Price.objects.filter(provider=price.provider_id, pattern=price.pattern, valid_from=price.valid_from)
    price.pk = None
    price.revision = (same.aggregate(latest=Max("revision"))["latest"] or 0) + 1
    price.shipped = False
    price.save(force_insert=True)
    PriceRate.objects.bulk_create(
        PriceRate(
            price=price,
            unit=rate.unit,
            variant=rate.variant,
            above=rate.above,
            nano_per_million=rate.nano_per_million,
        )
        for rate in rates
    )
    price_book.changed()
    return price
