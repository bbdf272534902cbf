"""Which price a call has: provider, model and day -> one price. In memory by version; the write path asks each time.

The order is exact id, then alias (the operator's list, then the vendor's own other names; last, for a fine-tune without
a price of its own, its base model), then the closest glob. Always within one provider: never a guess across vendors.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from django.db.models import QuerySet

from providers import model_ids
from providers.costing import PricedModel, Rate
from providers.models import Price, Provider
from providers.versioned_cache import VersionedCache

MEMO = 16_384  # answers kept per book; an event's model is the caller's text, so this must have an end


@dataclass(frozen=True, slots=True)
class Entry:
    """One price with the other ids that it is for."""

    price: PricedModel
    aliases: frozenset[str]


class _Shelf:
    """The prices of one provider."""

    def __init__(self, vendor: frozenset[str], entries: Iterable[Entry]) -> None:
        self.vendor = vendor
        self.lines: dict[str, list[Entry]] = defaultdict(list)
        self.named: dict[str, set[str]] = defaultdict(set)
        self.asked: dict[tuple[int, str, str], PricedModel] = {}
        for entry in sorted(entries, key=lambda entry: entry.price.valid_from, reverse=True):
            self.lines[entry.price.pattern].append(entry)
            for alias in entry.aliases:
                self.named[alias].add(entry.price.pattern)
        globs = [pattern for pattern in self.lines if "*" in pattern]
        self.globs = [(pattern, _compiled(pattern)) for pattern in sorted(globs, key=_closeness)]

    def find(self, model: str, on: date) -> PricedModel | None:
        own = list(model_ids.own_forms(model, self.vendor))
        base = list(model_ids.base_forms(model, self.vendor))
        return (
            self._named(model, own, on)
            or self._covered(model, own, on, model_ids.FINE_TUNE)  # the fine-tunes' own price, before the base model's
            or self._named(model, base, on)
            or self._covered(model, own + base, on)
        )

    def in_force(self, on: date) -> list[PricedModel]:
        return [entry.price for pattern in sorted(self.lines) if (entry := self.on(pattern, on))]

    def _named(self, model: str, forms: list[str], on: date) -> PricedModel | None:
        """The price of the first of the forms that is a price's id or alias."""
        for form in forms:
            entry = self.on(form, on) if "*" not in form else None
            if entry:
                return self._as_asked(entry, model, "exact" if form == model else "alias")
            for pattern in sorted(self.named.get(form, ())):
                entry = self.on(pattern, on)
                if entry and form in entry.aliases:
                    return self._as_asked(entry, model, "alias")
        return None

    def _covered(self, model: str, forms: list[str], on: date, start: str = "") -> PricedModel | None:
        """The price of the closest glob, of those with that start, that covers one of the forms."""
        free = model.endswith(model_ids.FREE)
        for pattern, matches in self.globs:
            if not pattern.startswith(start) or (free and not pattern.endswith(model_ids.FREE)):
                continue
            entry = self.on(pattern, on) if any(matches.match(form) for form in forms) else None
            if entry:
                return self._as_asked(entry, model, "glob")
        return None

    def on(self, pattern: str, on: date) -> Entry | None:
        return next((entry for entry in self.lines.get(pattern, ()) if entry.price.valid_from <= on), None)

    def _as_asked(self, entry: Entry, model: str, step: str) -> PricedModel:
        """One object for all the ids that end at one price in one way: the ids are the callers' text, and many."""
        key = (entry.price.id, step, _tier_of(model))
        if key not in self.asked:
            self.asked[key] = replace(entry.price, matched_by=step, service_tier=key[2])
        return self.asked[key]


class PriceBook:
    """All prices as they stood at one version of the book."""

    def __init__(self, version: int, entries: Iterable[Entry], vendors: Mapping[str, frozenset[str]]) -> None:
        self.version = version
        by_provider: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_provider[entry.price.provider].append(entry)
        self._shelves = {
            slug: _Shelf(vendors.get(slug, frozenset({slug})), found) for slug, found in by_provider.items()
        }
        self._memo = lru_cache(maxsize=MEMO)(self._look_up)

    def find(self, provider: str, model: str, on: date) -> PricedModel | None:
        """The price that the provider asks for the model on that UTC day, and by which step it was found."""
        return self._memo(provider, model, on)

    def entry(self, provider: str, pattern: str, on: date) -> Entry | None:
        """The price of exactly that pattern in force on the day, with its aliases."""
        shelf = self._shelves.get(provider)
        return shelf.on(pattern, on) if shelf else None

    def asked(self, on: date, provider: str = "", model: str = "") -> list[PricedModel]:
        """The prices of that UTC day: of one provider or all, for one model or all of them."""
        slugs = [slug for slug in sorted(self._shelves) if provider in ("", slug)]
        if model:
            return [price for slug in slugs if (price := self.find(slug, model, on))]
        return [price for slug in slugs for price in self._shelves[slug].in_force(on)]

    def _look_up(self, provider: str, model: str, on: date) -> PricedModel | None:
        shelf = self._shelves.get(provider)
        return shelf.find(model_ids.normal(model), on) if shelf else None


def stored(price_id: int, model: str, on: date) -> PricedModel | None:
    """A price by its id, in force or not, as the model asks for it: what an old log was rated with.

    `matched_by` is empty where the model's other names have changed since, so that no step leads to the price now.
    """
    entry = next(_entries(Price.objects.filter(pk=price_id)), None)
    if entry is None:
        return None
    aliases = Provider.objects.values_list("aliases", flat=True).get(slug=entry.price.provider)
    shelf = _Shelf(model_ids.vendor_names(entry.price.provider, aliases), [entry])
    asked = model_ids.normal(model)
    return shelf.find(asked, on) or replace(entry.price, matched_by="", service_tier=_tier_of(asked))


def _tier_of(model: str) -> str:
    """The service tier that a model's id (normal form) itself asks for ("gpt-4o:batch"), or ""."""
    return "batch" if model.endswith(model_ids.BATCH) else ""


def rates_of(price: Price) -> tuple[Rate, ...]:
    """A stored price's rates, sorted."""
    rates = sorted(price.rates.all(), key=lambda rate: (rate.unit, rate.variant, rate.above))
    return tuple(Rate(rate.unit, rate.variant, rate.above, rate.nano_per_million) for rate in rates)


def _loaded(version: int) -> PriceBook:
    latest = {
        (entry.price.provider, entry.price.pattern, entry.price.valid_from): entry
        for entry in _entries(Price.objects.order_by("revision"))
    }
    names = Provider.objects.values_list("slug", "aliases")
    vendors = {slug: model_ids.vendor_names(slug, aliases) for slug, aliases in names}
    return PriceBook(version, latest.values(), vendors)


def _entries(prices: QuerySet[Price]) -> Iterator[Entry]:
    for price in prices.select_related("provider").prefetch_related("rates"):
        priced = PricedModel(
            id=price.pk,
            provider=price.provider.slug,
            pattern=price.pattern,
            valid_from=price.valid_from,
            source=price.source,
            rates=rates_of(price),
        )
        yield Entry(priced, frozenset(price.aliases))


def _closeness(pattern: str) -> tuple[int, str]:
    """The glob with most fixed text first."""
    return -len(pattern.replace("*", "")), pattern


def _compiled(pattern: str) -> re.Pattern[str]:
    """Only * is special; fnmatch's translation cannot be made to backtrack without end."""
    return re.compile(fnmatch.translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)))


_editions = VersionedCache("prices", _loaded)
current, read_version, changed = _editions.current, _editions.read_version, _editions.changed
