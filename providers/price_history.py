"""The price history of a model: what it costs on which day, and which revisions were superseded."""

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

RevisionState = Literal["in force", "upcoming", "ended", "superseded"]
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PriceRevision:
    """One revision of a price. `until` is its last UTC day; None if it is superseded or no later price is known."""

    price: Price
    until: date | None
    state: RevisionState
    recorded_by: str

    @property
    def rates_text(self) -> str:
        return describe(self.price)


def current_prices(prices: QuerySet[Price], day: date) -> QuerySet[Price]:
    """Filters `prices` to one per provider and pattern: the one in force on the UTC day, or else the next upcoming one.

    Annotates `changes_on`: the day of the next price, or None.
    """
    same = Price.objects.filter(provider=OuterRef("provider"), pattern=OuterRef("pattern"))
    in_force = same.filter(valid_from__lte=day).order_by("-valid_from", "-revision").values("pk")[:1]
    upcoming = same.filter(valid_from__gt=day).order_by("valid_from", "-revision")
    later = upcoming.filter(valid_from__gt=OuterRef("valid_from"))
    chosen = Coalesce(Subquery(in_force), Subquery(upcoming.values("pk")[:1]))
    return prices.filter(pk=chosen).annotate(changes_on=Subquery(later.values("valid_from")[:1]))


def revisions(price: Price, today: date) -> list[PriceRevision]:
    """Returns all prices of the same provider and pattern, newest first, with their state on the UTC day `today`."""
    same = Price.objects.filter(provider=price.provider_id, pattern=price.pattern)
    rows = list(same.order_by("-valid_from", "-revision").prefetch_related("rates"))
    days = sorted({row.valid_from for row in rows}, reverse=True)
    until = {earlier: later - ONE_DAY for later, earlier in pairwise(days)}
    newest: dict[date, Price] = {}
    for row in rows:
        newest.setdefault(row.valid_from, row)
    current = next((day for day in days if day <= today), None)
    authors = _recorded_by(rows)
    return [
        PriceRevision(row, None, "superseded", authors[row.pk])
        if row is not newest[row.valid_from]
        else PriceRevision(row, until.get(row.valid_from), _state(row.valid_from, current, today), authors[row.pk])
        for row in rows
    ]


def _state(day: date, current: date | None, today: date) -> RevisionState:
    if day > today:
        return "upcoming"
    return "in force" if day == current else "ended"


def _recorded_by(prices: Iterable[Price]) -> dict[int, str]:
    """Returns who recorded each price, according to the audit trail."""
    authors = {price.pk: "shipped with Tollgate" if price.shipped else "–" for price in prices}  # noqa: RUF001
    created = LogEntry.objects.get_for_model(Price).filter(object_id__in=authors, action=LogEntry.Action.CREATE)
    recorded = created.values_list("object_id", "actor__username", "additional_data")
    named = {pk: username or (data or {}).get("command") for pk, username, data in recorded}
    return authors | {pk: name for pk, name in named.items() if name}


def describe(price: Price) -> str:
    """Returns the rates as text, in USD per million units: "input_tokens 2.5 (above 200000); for every speed"."""
    rates = sorted(price.rates.all(), key=lambda rate: (rate.above, rate.variant, rate.unit))
    keys = " and ".join(key.replace("_", " ") for key in price.holds_for)
    suffix = f"; for every {keys}" if keys else ""
    return (", ".join(map(_describe_rate, rates)) or "no rates: withdrawn") + suffix


def _describe_rate(rate: PriceRate) -> str:
    conditions = [rate.variant, f"above {rate.above}" if rate.above else ""]
    stated = ", ".join(condition for condition in conditions if condition)
    return f"{rate.unit} {money.exact_usd(rate.nano_per_million)}" + (f" ({stated})" if stated else "")
