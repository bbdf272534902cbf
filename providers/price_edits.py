"""Changes prices by adding revisions, never in place: the price that rated an old log stays readable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from django.db.models import Max

from lib import retry
from providers import price_book
from providers.costing import Rate
from providers.models import Price, PriceRate, Provider

BATCH_SIZE = 500  # rows per SQL statement

_RevisionKey = tuple[int, str, date]  # revisions are numbered within provider, pattern and day


@retry.atomic
def add_revision(*, price: Price, rates: Sequence[PriceRate]) -> Price:
    """Stores the price with its rates as a new row: the highest revision of its provider, pattern and day."""
    latest = _latest_revisions([price.provider_id])
    price.pk = None
    price.revision = latest.get(_revision_key(price), 0) + 1
    price.shipped = False
    price.save(force_insert=True)
    PriceRate.objects.bulk_create(_rate_rows(price, rates))
    price_book.invalidate()
    return price


@retry.atomic
def add_revisions(drafts: Sequence[tuple[Price, Sequence[Rate]]]) -> None:
    """Stores many prices in a few SQL statements; of two with the same key, the later one gets the higher revision.

    Bulk inserts leave no audit entries: the caller must write them.
    """
    if not drafts:
        return
    latest = _latest_revisions({price.provider_id for price, _ in drafts})
    for price, _ in drafts:
        price.revision = latest[_revision_key(price)] = latest.get(_revision_key(price), 0) + 1
    Price.objects.bulk_create((price for price, _ in drafts), batch_size=BATCH_SIZE)
    _load_ids([price for price, _ in drafts])
    PriceRate.objects.bulk_create(
        (row for price, rates in drafts for row in _rate_rows(price, rates)), batch_size=BATCH_SIZE
    )
    price_book.invalidate()


def _latest_revisions(providers: Collection[int]) -> dict[_RevisionKey, int]:
    """Returns the highest revision per key. Locks the providers, so that no one else adds a price until the commit."""
    list(Provider.objects.select_for_update().filter(pk__in=providers).order_by("pk"))
    keys = Price.objects.filter(provider__in=providers).order_by().values_list("provider", "pattern", "valid_from")
    return {(provider, pattern, day): top for provider, pattern, day, top in keys.annotate(top=Max("revision"))}


def _revision_key(price: Price) -> _RevisionKey:
    return price.provider_id, price.pattern, price.valid_from


def _load_ids(prices: Sequence[Price]) -> None:
    """Sets the ids of inserted prices, because MySQL does not return them from a bulk insert."""
    stored = Price.objects.filter(provider__in={price.provider_id for price in prices}).order_by()
    ids = {tuple(key): pk for pk, *key in stored.values_list("pk", "provider", "pattern", "valid_from", "revision")}
    for price in prices:
        price.pk = ids[*_revision_key(price), price.revision]


def _rate_rows(price: Price, rates: Iterable[Rate | PriceRate]) -> Iterator[PriceRate]:
    for rate in rates:
        yield PriceRate(
            price=price,
            unit=rate.unit,
            variant=rate.variant,
            above=rate.above,
            nano_per_million=rate.nano_per_million,
        )
