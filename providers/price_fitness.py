"""Whether an offer can stand in our tables: what is too long or unknown to us is left out, never cut. price_sync.py asks."""

from __future__ import annotations

from collections.abc import Container

from django.core.exceptions import ValidationError
from django.db.models import CharField

from providers import costing
from providers.detection import CATEGORIES, label_key
from providers.models import SLUG, Price, PriceProposal, PriceRate, Provider
from providers.price_sources import Offer

HIGHEST_RATE = 10**18  # nano-USD per million units, as in the price form


class Fitness:
    """Judges offers by the tables' columns and the providers that there are."""

    def __init__(self) -> None:
        providers = list(Provider.objects.all())
        self.slugs = {one.slug for one in providers}
        self.names = {label_key(name) for one in providers for name in (one.slug, one.name, *one.aliases)}

    def fault(self, offer: Offer) -> str:
        """Why it cannot be taken over, or ""; a few fixed texts, so that they can be counted."""
        texts = (offer.provider, offer.provider_name, offer.pattern, offer.source, *offer.aliases)
        if _too_long(offer):
            return "a text is too long for its column"
        if not all(text.isprintable() and text.strip() for text in texts):
            return "a text is empty or holds control characters"
        if not _is_slug(offer.provider) or offer.category not in ("", *CATEGORIES):
            return "provider or category is no name of ours"
        if offer.provider not in self.slugs and _other_name(offer, self.names):
            return "the provider is known by another slug"
        return _fault_of_rates(offer)


def _is_slug(text: str) -> bool:
    try:
        SLUG(text)
    except ValidationError:
        return False
    return True


def _too_long(offer: Offer) -> bool:
    model, provider = _length(Price, "pattern"), _length(Provider, "slug")
    return (
        len(offer.provider) > provider
        or len(offer.provider_name) > _length(Provider, "name")
        or len(offer.source) > _length(PriceProposal, "edition")
        or any(len(name) > model for name in (offer.pattern, *offer.aliases))
        or any(len(rate.variant) > _length(PriceRate, "variant") for rate in offer.rates)
    )


def _length(model: type[Price | Provider | PriceProposal | PriceRate], column: str) -> int:
    field = model._meta.get_field(column)
    assert isinstance(field, CharField)  # noqa: S101 - tells the type checker
    return field.max_length or 0


def _other_name(offer: Offer, names: Container[str]) -> bool:
    """A second slug for a company would take the labels of the first one away."""
    return label_key(offer.provider) in names or label_key(offer.provider_name) in names


def _fault_of_rates(offer: Offer) -> str:
    cells = {(rate.unit, rate.variant, rate.above) for rate in offer.rates}
    if not cells or len(cells) < len(offer.rates):
        return "no rates, or two for one unit"
    if any(rate.unit not in costing.UNITS for rate in offer.rates):
        return "a unit is not one of ours"
    if any(not 0 <= amount <= HIGHEST_RATE for rate in offer.rates for amount in (rate.nano_per_million, rate.above)):
        return "a rate is out of range"
    return ""
