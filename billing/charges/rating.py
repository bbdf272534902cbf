"""Rating: detects the provider of an event and calculates its cost from the price book."""

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

NO_COST = Cost(0, 0, 0, 0, (), False)
MAX_CACHED_PROFILES = 4096  # per snapshot; bounded because models and endpoints are the caller's text


class RatingSnapshot:
    """One version of the rule book and of the price book, so that a whole batch is rated consistently."""

    def __init__(self, rules: rulebook.RuleBook, prices: price_book.PriceBook) -> None:
        self.rules, self.prices = rules, prices
        self.profile_of: Callable[[CallSignature], CallProfile] = lru_cache(maxsize=MAX_CACHED_PROFILES)(
            partial(call_profile.build_profile, rules=rules)
        )


class RatedEvent(NamedTuple):
    """The result of rating an event."""

    profile: CallProfile
    cost: Cost
    price: PricedModel | None
    source: str  # a CostSource
    tokens_total: int
    billable: bool  # False for failed calls without usage, which no meter counts


def snapshot() -> RatingSnapshot:
    """The current snapshot. One query, for the versions."""
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute("SELECT book, version FROM book_versions")
        versions: dict[str, int] = dict(cursor.fetchall())
    return _cached_snapshot(rulebook.current(versions.get("rules", 0)), price_book.current(versions.get("prices", 0)))


@lru_cache(maxsize=1)
def _cached_snapshot(rules: rulebook.RuleBook, prices: price_book.PriceBook) -> RatingSnapshot:
    """Keep the snapshot with its cached profiles until either book changes."""
    return RatingSnapshot(rules, prices)


def rate(event: Event, at: datetime, snapshot: RatingSnapshot) -> RatedEvent:
    """Rate one event that happened `at` (UTC). Raises Refused if the cost exceeds the maximum per event."""
    profile = snapshot.profile_of(call_profile.signature_of(event))
    included = event.cached_tokens_included
    quantities = quantities_of(event.usage, event.variant, profile.category, cached_included=included)
    total = costing.tokens_total(quantities)
    stated = event.cost_nano
    billable = not event.failed or bool(stated) or costing.has_usage(quantities)
    if stated is not None:
        cost = NO_COST._replace(other_nano=stated, total_nano=stated)
        return RatedEvent(profile, cost, None, CostSource.CALLER, total, billable)
    if not billable:
        return RatedEvent(profile, NO_COST, None, CostSource.FREE, total, billable)
    price = snapshot.prices.find(profile.detection.actual_provider, event.model, at.date())
    cost = costing.cost(price, quantities) if price else NO_COST
    if cost.total_nano > money.MAX_EVENT_NANO:
        raise Refused("max_value", "The call would cost more than 1,000,000 USD, the maximum for one event.", "usage")
    return RatedEvent(profile, cost, price if cost.billed else None, cost.source, total, billable)


def quantities_of(usage: Usage, variant: Variant, category: str, *, cached_included: bool) -> Quantities:
    """The usage as costing's Quantities."""
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
    """The quantities from which the log was rated."""
    return quantities_of_usage(log, msgspec.convert(usage_of_log(log), Usage))


def quantities_of_usage(log: UsageLog, usage: Usage) -> Quantities:
    """The quantities of this usage of the log's call."""
    variant = msgspec.convert(log.variant, Variant)
    return quantities_of(usage, variant, log.category, cached_included=log.cached_included)


def usage_of_log(log: Any) -> dict[str, int | str]:  # noqa: ANN401 - any form of a log that has the columns
    """The log's usage by the event's field names, without default values: as stated later, else as recorded."""
    if log.resolved and "usage" in log.resolved:
        return dict(log.resolved["usage"])
    columns = {
        "input_tokens": log.tokens_input,
        "output_tokens": log.tokens_output,
        "cached_input_tokens": log.tokens_cached,
        "cache_write_tokens": log.tokens_cache_write,
    }
    usage: dict[str, int | str] = {name: count for name, count in columns.items() if count}
    usage.update(log.units)
    return usage


def _micro(amount: str | int | None) -> int | None:
    """Convert a decimal of up to six places to integer millionths."""
    return None if amount is None else int(Decimal(amount) * costing.MICRO)


# Quantities with their own columns; the others are stored in `units` unless they equal their default.
QUANTITY_COLUMNS = frozenset({"input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens"})


def stored_units(usage: Usage) -> dict[str, int | str]:
    units: dict[str, int | str] = msgspec.to_builtins(usage)  # omits defaults
    for name in QUANTITY_COLUMNS:
        units.pop(name, None)
    return units
