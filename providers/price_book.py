"""Finds the price of a call: provider, model and day -> one price. Cached in memory by version.

Order of matching: exact id, then alias (the operator's list, then the vendor's own other names), then the closest glob.
Always within one provider, never across vendors. A base model's price is no price of its fine-tunes: these need an id, an
alias or a glob that begins with `ft`, or the glob `*`.
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

LOOKUP_CACHE_SIZE = 16_384  # bounded, because models are free text from callers


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """One price with its aliases (other ids of the same model)."""

    price: PricedModel
    aliases: frozenset[str]


class _ProviderPrices:
    """The prices of one provider; `vendor` are its names as a namespace of model ids."""

    def __init__(self, vendor: frozenset[str], entries: Iterable[PriceEntry]) -> None:
        self.vendor = vendor
        self.by_pattern: dict[str, list[PriceEntry]] = defaultdict(list)  # newest first
        self.patterns_of_alias: dict[str, set[str]] = defaultdict(set)
        self.matches: dict[tuple[int, str, str], PricedModel] = {}
        for entry in sorted(entries, key=lambda entry: entry.price.valid_from, reverse=True):
            self.by_pattern[entry.price.pattern].append(entry)
            for alias in entry.aliases:
                self.patterns_of_alias[alias].add(entry.price.pattern)
        globs = [pattern for pattern in self.by_pattern if "*" in pattern]
        self.globs = [(pattern, _compile_glob(pattern)) for pattern in sorted(globs, key=_glob_sort_key)]

    def find(self, model: str, day: date) -> PricedModel | None:
        forms = list(model_ids.own_forms(model, self.vendor))
        return self._find_by_id(model, forms, day) or self._find_by_glob(model, forms, day)

    def find_served(self, model: str, served_model: str, day: date) -> PricedModel | None:
        """Returns the price of the served model; of the requested one if the served id merely lacks its suffix."""
        is_other = served_model and not model_ids.is_unsuffixed(served_model, model, self.vendor)
        match, tier = self.find(served_model if is_other else model, day), tier_of(model)
        return match if match is None or match.service_tier == tier else replace(match, service_tier=tier)

    def sells(self, model: str) -> bool:
        """Tells whether the model, or the base model of a fine-tune, has a price of any day."""
        forms = [*model_ids.own_forms(model, self.vendor), *model_ids.base_forms(model, self.vendor)]
        return bool(self._find_by_id(model, forms, date.max) or self._find_by_glob(model, forms, date.max))

    def prices_on(self, day: date) -> list[PricedModel]:
        return [entry.price for pattern in sorted(self.by_pattern) if (entry := self.entry_on(pattern, day))]

    def _find_by_id(self, model: str, forms: list[str], day: date) -> PricedModel | None:
        """Returns the price of the first form that is a price's id or alias."""
        for form in forms:
            entry = self.entry_on(form, day) if "*" not in form else None
            if entry:
                return self._matched(entry, model, "exact" if form == model else "alias")
            for pattern in sorted(self.patterns_of_alias.get(form, ())):
                entry = self.entry_on(pattern, day)
                if entry and form in entry.aliases:
                    return self._matched(entry, model, "alias")
        return None

    def _find_by_glob(self, model: str, forms: list[str], day: date) -> PricedModel | None:
        """Returns the price of the closest glob that matches one of the forms."""
        free = model.endswith(model_ids.FREE)
        tuned = any(form.startswith(model_ids.FINE_TUNE) for form in forms)
        for pattern, regex in self.globs:
            if free and not pattern.endswith(model_ids.FREE):
                continue
            if tuned and pattern != "*" and not pattern.startswith(("ft:", "ft*")):
                continue
            entry = self.entry_on(pattern, day) if any(regex.match(form) for form in forms) else None
            if entry:
                return self._matched(entry, model, "glob")
        return None

    def entry_on(self, pattern: str, day: date) -> PriceEntry | None:
        return next((entry for entry in self.by_pattern.get(pattern, ()) if entry.price.valid_from <= day), None)

    def _matched(self, entry: PriceEntry, model: str, matched_by: str) -> PricedModel:
        """Returns one shared object for all ids that match a price in the same way, as there may be many ids."""
        key = (entry.price.id, matched_by, tier_of(model))
        if key not in self.matches:
            self.matches[key] = replace(entry.price, matched_by=matched_by, service_tier=key[2])
        return self.matches[key]


class PriceBook:
    """All prices at one version of the book."""

    def __init__(self, version: int, entries: Iterable[PriceEntry], vendors: Mapping[str, frozenset[str]]) -> None:
        self.version = version
        by_provider: dict[str, list[PriceEntry]] = defaultdict(list)
        for entry in entries:
            by_provider[entry.price.provider].append(entry)
        self._providers = {
            slug: _ProviderPrices(vendors.get(slug, frozenset({slug})), prices) for slug, prices in by_provider.items()
        }
        self._find_cached = lru_cache(maxsize=LOOKUP_CACHE_SIZE)(self._find)
        self._sells_cached = lru_cache(maxsize=LOOKUP_CACHE_SIZE)(self._sells)

    def find(self, provider: str, model: str, day: date, served_model: str = "") -> PricedModel | None:
        """Returns the provider's price of the model on a UTC day; `matched_by` says how it was found.

        `served_model` is what the provider says that it served, if it says so.
        """
        return self._find_cached(provider, model, day, served_model)

    def sells(self, provider: str, model: str) -> bool:
        """Tells whether the provider has a price of the model, whatever its day."""
        return self._sells_cached(provider, model)

    def find_entry(self, provider: str, pattern: str, day: date) -> PriceEntry | None:
        """Returns the price of exactly this pattern on a UTC day, with its aliases."""
        prices = self._providers.get(provider)
        return prices.entry_on(pattern, day) if prices else None

    def prices_on(self, day: date, provider: str = "", model: str = "") -> list[PricedModel]:
        """Returns the prices of a UTC day, of one provider or all, for one model or all."""
        slugs = [slug for slug in sorted(self._providers) if provider in ("", slug)]
        if model:
            return [price for slug in slugs if (price := self.find(slug, model, day))]
        return [price for slug in slugs for price in self._providers[slug].prices_on(day)]

    def _find(self, provider: str, model: str, day: date, served_model: str) -> PricedModel | None:
        prices = self._providers.get(provider)
        if prices is None:
            return None
        return prices.find_served(model_ids.normalize(model), model_ids.normalize(served_model), day)

    def _sells(self, provider: str, model: str) -> bool:
        prices = self._providers.get(provider)
        return prices is not None and prices.sells(model_ids.normalize(model))


def load_price(price_id: int, model: str, day: date, served_model: str = "") -> PricedModel | None:
    """Loads the price that rated an old log, in force or not, as matched by the log's models on a UTC day.

    `matched_by` is "" if the model's ids or aliases have changed since, so that the model no longer matches the price.
    """
    entry = next(_load_entries(Price.objects.filter(pk=price_id)), None)
    if entry is None:
        return None
    aliases = Provider.objects.values_list("aliases", flat=True).get(slug=entry.price.provider)
    prices = _ProviderPrices(model_ids.vendor_names(entry.price.provider, aliases), [entry])
    model_id = model_ids.normalize(model)
    match = prices.find_served(model_id, model_ids.normalize(served_model), day)
    return match or replace(entry.price, matched_by="", service_tier=tier_of(model_id))


def tier_of(model: str) -> str:
    """Returns the service tier named by a model id ("gpt-4o:batch"), or ""."""
    return "batch" if model_ids.normalize(model).endswith(model_ids.BATCH) else ""


def rates_of(price: Price) -> tuple[Rate, ...]:
    """Returns a stored price's rates, sorted."""
    rates = sorted(price.rates.all(), key=lambda rate: (rate.unit, rate.variant, rate.above))
    return tuple(Rate(rate.unit, rate.variant, rate.above, rate.nano_per_million) for rate in rates)


def _load(version: int) -> PriceBook:
    latest = {
        (entry.price.provider, entry.price.pattern, entry.price.valid_from): entry
        for entry in _load_entries(Price.objects.order_by("revision"))
    }
    names = Provider.objects.values_list("slug", "aliases")
    vendors = {slug: model_ids.vendor_names(slug, aliases) for slug, aliases in names}
    return PriceBook(version, latest.values(), vendors)


def _load_entries(prices: QuerySet[Price]) -> Iterator[PriceEntry]:
    for price in prices.select_related("provider").prefetch_related("rates"):
        yield PriceEntry(priced_model(price), frozenset(price.aliases))


def priced_model(price: Price, service_tier: str = "") -> PricedModel:
    """Returns a stored price for calls whose model id names this service tier, or none."""
    return PricedModel(
        id=price.pk,
        provider=price.provider.slug,
        pattern=price.pattern,
        valid_from=price.valid_from,
        source=price.source,
        rates=rates_of(price),
        service_tier=service_tier,
        holds_for=frozenset(price.holds_for),
    )


def _glob_sort_key(pattern: str) -> tuple[int, str]:
    """Sorts the glob with the most fixed text first."""
    return -len(pattern.replace("*", "")), pattern


def _compile_glob(pattern: str) -> re.Pattern[str]:
    """Compiles a glob in which only * is special; fnmatch's translation is safe from catastrophic backtracking."""
    return re.compile(fnmatch.translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)))


_cache = VersionedCache("prices", _load)
current, read_version, invalidate = _cache.current, _cache.read_version, _cache.invalidate
