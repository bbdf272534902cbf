"""How a price is changed: never in place. What a log was rated with stays readable; the newest revision counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from django.db import transaction
from django.db.models import Max

from providers import price_book
from providers.costing import Rate
from providers.models import Price, PriceRate, Provider

ROWS = 500  # of one statement

_Line = tuple[int, str, date]  # what revisions are counted in: provider, pattern, day


@transaction.atomic
def record(*, price: Price, rates: Iterable[PriceRate]) -> Price:
    """Stores the price with its rates as a new row, the highest revision of its provider, pattern and day."""
    latest = _latest_revisions([price.provider_id])
    price.pk = None
    price.revision = latest.get(_line(price), 0) + 1
    price.shipped = False
    price.save(force_insert=True)
    PriceRate.objects.bulk_create(_rows(price, rates))
    price_book.changed()
    return price


@transaction.atomic
def record_all(drafts: Sequence[tuple[Price, Iterable[Rate]]]) -> None:
    """As record() for many, in a few statements and one change of the book; of equal lines the last one counts.

    The audit trail hears nothing of rows that are made so: the caller writes its entries.
    """
    if not drafts:
        return
    latest = _latest_revisions({price.provider_id for price, _ in drafts})
    for price, _ in drafts:
        price.revision = latest[_line(price)] = latest.get(_line(price), 0) + 1
    Price.objects.bulk_create((price for price, _ in drafts), batch_size=ROWS)
    _read_ids([price for price, _ in drafts])
    PriceRate.objects.bulk_create((row for price, rates in drafts for row in _rows(price, rates)), batch_size=ROWS)
    price_book.changed()


def _latest_revisions(providers: Collection[int]) -> dict[_Line, int]:
    """The highest revision of each line; until the end of the transaction nobody else adds one of these providers."""
    list(Provider.objects.select_for_update().filter(pk__in=providers).order_by("pk"))
    lines = Price.objects.filter(provider__in=providers).order_by().values_list("provider", "pattern", "valid_from")
    return {(owner, pattern, day): top for owner, pattern, day, top in lines.annotate(top=Max("revision"))}


def _line(price: Price) -> _Line:
    return price.provider_id, price.pattern, price.valid_from


def _read_ids(prices: Sequence[Price]) -> None:
    """MySQL does not tell the ids of what one statement inserted."""
    stored = Price.objects.filter(provider__in={price.provider_id for price in prices}).order_by()
    ids = {tuple(key): pk for pk, *key in stored.values_list("pk", "provider", "pattern", "valid_from", "revision")}
    for price in prices:
        price.pk = ids[*_line(price), price.revision]


def _rows(price: Price, rates: Iterable[Rate | PriceRate]) -> Iterator[PriceRate]:
    for rate in rates:
        yield PriceRate(
            price=price,
            unit=rate.unit,
            variant=rate.variant,
            above=rate.above,
            nano_per_million=rate.nano_per_million,
        )
