"""What an event is worth: which provider served it, what that costs, at what price. Called by all that rates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from billing.charges import call_profile
from billing.charges.call_profile import CallProfile, CallSignature
from billing.errors import Refused
from billing.events.events import Event, Usage, Variant
from billing.models import CostSource, UsageLog
from lib import money, postgres
from providers import costing, price_book, rulebook
from providers.costing import Cost, PricedModel, Quantities

NOTHING = Cost(0, 0, 0, 0, (), False)
KINDS = 4096  # kept for one edition of the books; models and endpoints are the caller's text, so this must have an end


class RatingSnapshot:
    """The rule book and the price book of one moment, so that a batch is rated by one edition of each."""

    def __init__(self, rules: rulebook.RuleBook, prices: price_book.PriceBook) -> None:
        self.rules, self.prices = rules, prices
        self.kind: Callable[[CallSignature], CallProfile] = lru_cache(maxsize=KINDS)(
            partial(call_profile.kind, rules=rules)
        )


class Rated(NamedTuple):
    """An event with everything that follows from it."""

    kind: CallProfile
    cost: Cost
    price: PricedModel | None
    source: str  # a CostSource
    tokens_total: int
    billable: bool  # all but failed calls without usage: these move no meter


def snapshot() -> RatingSnapshot:
    """The current editions, at the price of one query."""
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute("SELECT book, version FROM book_versions")
        versions: dict[str, int] = dict(cursor.fetchall())
    return _books(rulebook.current(versions.get("rules", 0)), price_book.current(versions.get("prices", 0)))


@lru_cache(maxsize=1)
def _books(rules: rulebook.RuleBook, prices: price_book.PriceBook) -> RatingSnapshot:
    """Held with the kinds that it knows until one of the two changes."""
    return RatingSnapshot(rules, prices)


def rate(event: Event, at: datetime, edition: RatingSnapshot) -> Rated:
    """Detect, price and cost one event that happened `at` (UTC). Raises Refused where the cost is beyond all bounds."""
    kind = edition.kind(call_profile.said(event))
    quantities = quantities_of(event.usage, event.variant, kind.category, cached_included=event.cached_tokens_included)
    total = costing.tokens_total(quantities)
    stated = event.cost_nano
    billable = not event.failed or bool(stated) or costing.has_usage(quantities)
    if stated is not None:
        cost = NOTHING._replace(other_nano=stated, total_nano=stated)
        return Rated(kind, cost, None, CostSource.CALLER, total, billable)
    if not billable:
        return Rated(kind, NOTHING, None, CostSource.FREE, total, billable)
    price = edition.prices.find(kind.detection.actual_provider, event.model, at.date())
    cost = costing.cost(price, quantities) if price else NOTHING
    if cost.total_nano > money.EVENT_LIMIT_NANO:
        raise Refused("max_value", "At the known price this would cost more than 1,000,000 USD.", "usage")
    return Rated(kind, cost, price if cost.billed else None, cost.source, total, billable)


def quantities_of(usage: Usage, variant: Variant, category: str, *, cached_included: bool) -> Quantities:
    """The usage in the units that costing knows."""
    stated = costing.Variant(variant.resolution, variant.quality, variant.service_tier)
    return Quantities(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        image_tokens=usage.image_tokens,
        requests=usage.requests,
        images=usage.images,
        megapixels=_micro(usage.megapixels),
        seconds=_micro(usage.seconds),
        characters=usage.characters,
        searches=usage.searches,
        pages=usage.pages,
        cached_included=cached_included,
        variant=stated,
        category=category,
    )


def quantities_of_log(log: UsageLog) -> Quantities:
    """What was counted when the log was rated."""
    variant = msgspec.convert(log.variant, Variant)
    return quantities_of(
        msgspec.convert(usage_of(log), Usage), variant, log.category, cached_included=log.cached_included
    )


def usage_of(log: Any) -> dict[str, int | str]:  # noqa: ANN401 - any form of a log that has the columns
    """The log's usage as its event told it, without what was left at its default."""
    columns = {
        "input_tokens": log.tokens_input,
        "output_tokens": log.tokens_output,
        "cached_input_tokens": log.tokens_cached,
        "cache_write_tokens": log.tokens_cache_write,
    }
    used: dict[str, int | str] = {name: count for name, count in columns.items() if count}
    used.update(log.units)
    return used


def _micro(amount: str | int | None) -> int | None:
    """A decimal of up to six places as integer millionths."""
    return None if amount is None else int(Decimal(amount) * costing.MICRO)


# Quantities that have columns of their own; the others stand in `units`, where they differ from their defaults.
COLUMNS = frozenset({"input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens"})


def units_stored(usage: Usage) -> dict[str, int | str]:
    units: dict[str, int | str] = msgspec.to_builtins(usage)  # without what equals its default
    for name in COLUMNS:
        units.pop(name, None)
    return units
