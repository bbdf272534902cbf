"""The prices of one model in order of date: what is asked when, and which revisions were superseded. Price pages ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

from auditlog.models import LogEntry
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from lib import money
from providers.models import Price, PriceRate

State = Literal["in force", "to come", "ended", "superseded"]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision of one price. `until` is its last day, None where no later price is known or it never counts."""

    price: Price
    until: date | None
    state: State
    recorded_by: str

    @property
    def asked(self) -> str:
        return in_words(self.price)


def standing(prices: QuerySet[Price], on: date) -> QuerySet[Price]:
    """Among `prices`, one for each provider and pattern: the one in force on that day, or the first to come where none is.

    `changes_on` is the day of the next price, if one is known.
    """
    same = Price.objects.filter(provider=OuterRef("provider"), pattern=OuterRef("pattern"))
    in_force = same.filter(valid_from__lte=on).order_by("-valid_from", "-revision").values("pk")[:1]
    to_come = same.filter(valid_from__gt=on).order_by("valid_from", "-revision")
    later = to_come.filter(valid_from__gt=OuterRef("valid_from"))
    chosen = Coalesce(Subquery(in_force), Subquery(to_come.values("pk")[:1]))
    return prices.filter(pk=chosen).annotate(changes_on=Subquery(later.values("valid_from")[:1]))


def of(price: Price, on: date) -> list[Entry]:
    """All prices of its provider and pattern, newest first; a superseded revision stands below the one that counts."""
    same = Price.objects.filter(provider=price.provider_id, pattern=price.pattern)
    rows = list(same.order_by("-valid_from", "-revision").prefetch_related("rates"))
    days = sorted({row.valid_from for row in rows}, reverse=True)
    until = {earlier: later - DAY for later, earlier in pairwise(days)}
    newest: dict[date, Price] = {}
    for row in rows:
        newest.setdefault(row.valid_from, row)
    asked_now = next((day for day in days if day <= on), None)
    people = _recorded_by(rows)
    return [
        Entry(row, None, "superseded", people[row.pk])
        if row is not newest[row.valid_from]
        else Entry(row, until.get(row.valid_from), _state(row.valid_from, asked_now, on), people[row.pk])
        for row in rows
    ]


def _state(day: date, asked_now: date | None, on: date) -> State:
    if day > on:
        return "to come"
    return "in force" if day == asked_now else "ended"


def _recorded_by(prices: Iterable[Price]) -> dict[int, str]:
    """Who recorded each price, as the audit trail says."""
    people = {price.pk: "shipped with Tollgate" if price.shipped else "–" for price in prices}  # noqa: RUF001
    made = LogEntry.objects.get_for_model(Price).filter(object_id__in=people, action=LogEntry.Action.CREATE)
    made = made.filter(actor__isnull=False).values_list("object_id", "actor__username")
    return people | dict(made)


def in_words(price: Price) -> str:
    """ "input_tokens 2.5 (above 200000)", in USD per million units; a price without rates is none."""
    rates = sorted(price.rates.all(), key=lambda rate: (rate.above, rate.variant, rate.unit))
    return ", ".join(map(_rate_in_words, rates)) or "nothing: out of force"


def _rate_in_words(rate: PriceRate) -> str:
    limits = [rate.variant, f"above {rate.above}" if rate.above else ""]
    stated = ", ".join(limit for limit in limits if limit)
    return f"{rate.unit} {money.exact_usd(rate.nano_per_million)}" + (f" ({stated})" if stated else "")
