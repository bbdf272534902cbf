"""Checks whether an offer fits the price tables. Offers that do not fit are left out, never truncated."""

from __future__ import annotations

from collections.abc import Container

from django.core.exceptions import ValidationError
from django.db.models import CharField

from providers.detection import CATEGORIES, label_key
from providers.models import SLUG, Price, PriceProposal, PriceRate, Provider
from providers.price_sources import Offer
from providers.quantities import UNITS

MAX_RATE = 10**18  # nano-USD per million units, as in the price form
MAX_TOKEN_RATE = 10**13  # $10,000 per million tokens: the dearest model has cost $600


class OfferChecker:
    """Checks offers against the column sizes and the known providers."""

    def __init__(self) -> None:
        providers = list(Provider.objects.all())
        self.slugs = {provider.slug for provider in providers}
        self.names = {
            label_key(name) for provider in providers for name in (provider.slug, provider.name, *provider.aliases)
        }

    def problem(self, offer: Offer) -> str:
        """Returns why the offer cannot be imported, or "". The texts are constant, so that they can be counted."""
        texts = (offer.provider, offer.provider_name, offer.pattern, offer.source, *offer.aliases)
        if _too_long(offer):
            return "a text is too long"
        if not all(text.isprintable() and text.strip() for text in texts):
            return "a text is empty or contains control characters"
        if not all(text.isprintable() for text in (*offer.without, *offer.hosts)):
            return "a text is empty or contains control characters"
        if not _is_slug(offer.provider) or offer.category not in ("", *CATEGORIES):
            return "an invalid provider slug or an unknown category"
        if offer.provider not in self.slugs and _has_other_slug(offer, self.names):
            return "the provider exists under another slug"
        return _rates_problem(offer)


def _is_slug(text: str) -> bool:
    try:
        SLUG(text)
    except ValidationError:
        return False
    return True


def _too_long(offer: Offer) -> bool:
    max_id = _max_length(Price, "pattern")
    return (
        len(offer.provider) > _max_length(Provider, "slug")
        or len(offer.provider_name) > _max_length(Provider, "name")
        or len(offer.source) > _max_length(PriceProposal, "edition")
        or any(len(name) > max_id for name in (offer.pattern, *offer.aliases))
        or any(len(rate.variant) > _max_length(PriceRate, "variant") for rate in offer.rates)
    )


def _max_length(model: type[Price | Provider | PriceProposal | PriceRate], column: str) -> int:
    field = model._meta.get_field(column)
    assert isinstance(field, CharField)  # noqa: S101 - for the type checker
    return field.max_length or 0


def _has_other_slug(offer: Offer, names: Container[str]) -> bool:
    """Tells whether the provider exists under another slug: a second slug would take over labels of the first."""
    return label_key(offer.provider) in names or label_key(offer.provider_name) in names


def _rates_problem(offer: Offer) -> str:
    cells = {(rate.unit, rate.variant, rate.above) for rate in offer.rates}
    if not cells or len(cells) < len(offer.rates):
        return "no rates, or two rates for one unit"
    if any(rate.unit not in UNITS for rate in offer.rates):
        return "an unknown unit"
    if any(not 0 <= amount <= MAX_RATE for rate in offer.rates for amount in (rate.nano_per_million, rate.above)):
        return "a rate is out of range"
    if any(rate.unit.endswith("_tokens") and rate.nano_per_million > MAX_TOKEN_RATE for rate in offer.rates):
        return "a rate is out of range"
    return ""
