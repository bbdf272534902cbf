"""Rating: detects the provider of an event and calculates its cost from the price book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import msgspec
from django.db import connection

from billing.charges import call_profile, unread_decisions
from billing.charges.call_profile import CallProfile, CallSignature
from billing.charges.unread_decisions import DecisionBook
from billing.errors import Refused
from billing.events.events import Event, Usage, Variant
from billing.events.unread_fields import Decisions
from billing.models import CostSource, UnpricedReason, UsageLog, UsageState
from lib import money, postgres
from providers import attribution, costing, price_book, quantities, rulebook
from providers.costing import Cost, PricedModel
from providers.detection import Call, Detection
from providers.quantities import Quantities

NO_COST = Cost(0, 0, 0, 0, (), False)
MAX_CACHED_PROFILES = 4096  # per snapshot; bounded because models and endpoints are the caller's text


class RatingSnapshot:
    """One version of the rules, prices and decisions on unread fields, so that a whole batch is rated consistently."""

    def __init__(self, rules: rulebook.RuleBook, prices: price_book.PriceBook, decisions: Decisions) -> None:
        self.rules, self.prices, self.decisions = rules, prices, decisions
        self.detect: Callable[[Call], Detection]
        self.detect = detect = partial(attribution.detect, rules=rules, prices=prices)
        self.profile_of: Callable[[CallSignature], CallProfile] = lru_cache(maxsize=MAX_CACHED_PROFILES)(
            lambda signature: call_profile.build_profile(signature, detect(signature.call))
        )


class ServedCall(Protocol):
    """What a vendor's response says about the call that it answers. Its values win over those of the request."""

    @property
    def model(self) -> str: ...
    @property
    def variant(self) -> Mapping[str, str]: ...
    @property
    def cost_usd(self) -> str | None: ...


class RatingInputs(NamedTuple):
    """What decides the price and the cost of a call, of an event or of a stored log. `at` is in UTC."""

    provider: str  # the actual one
    model: str
    served_model: str
    at: datetime
    quantities: Quantities

    def price(self, prices: price_book.PriceBook) -> PricedModel | None:
        return prices.find(self.provider, self.model, self.at.date(), self.served_model)


class RatedEvent(NamedTuple):
    """The result of rating an event."""

    profile: CallProfile
    cost: Cost
    price: PricedModel | None
    source: str  # a CostSource
    tokens_total: int
    billable: bool  # False for failed calls without usage, which no meter counts
    unpriced_reason: str | None = None  # an UnpricedReason; None where priced
    usage_state: str = UsageState.COMPLETE.value


def snapshot() -> RatingSnapshot:
    """The current snapshot. One query, for the versions."""
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute("SELECT book, version FROM book_versions")
        versions: dict[str, int] = dict(cursor.fetchall())
    rules, prices = rulebook.current(versions.get("rules", 0)), price_book.current(versions.get("prices", 0))
    return _cached_snapshot(rules, prices, unread_decisions.current(versions.get(unread_decisions.CATALOG, 0)))


@lru_cache(maxsize=1)
def _cached_snapshot(rules: rulebook.RuleBook, prices: price_book.PriceBook, fields: DecisionBook) -> RatingSnapshot:
    """Keep the snapshot with its cached profiles until one of the books changes."""
    return RatingSnapshot(rules, prices, fields.decisions)


def rate(
    event: Event,
    at: datetime,
    snapshot: RatingSnapshot,
    *,
    reading: ServedCall | None = None,
    may_state_cost: bool = False,
    aborted: bool = False,
) -> RatedEvent:
    """Rate one event that happened `at` (UTC). Raises Refused if the cost exceeds the maximum per event.

    `reading` is what the vendor's response says; its cost counts where the source `may_state_cost`. A failed call without
    usage is free and not looked up in the price book, unless it was `aborted` and may have used something.
    """
    profile = snapshot.profile_of(call_profile.signature_of(event))
    inputs = _inputs_of_event(event, at, profile, reading)
    total = quantities.tokens_total(inputs.quantities)
    stated, source = _stated_cost(event, reading if may_state_cost else None)
    billable = not event.failed or bool(stated) or quantities.has_usage(inputs.quantities)
    if stated is not None:
        cost = NO_COST._replace(other_nano=stated, total_nano=stated)
        return RatedEvent(profile, _limited(cost), None, source, total, billable)
    if not billable and not (aborted and _is_free(inputs, snapshot)):
        return RatedEvent(profile, NO_COST, None, CostSource.FREE, total, billable)
    price, cost = _apply_price(inputs, snapshot)
    reason = unpriced_reason(price, cost)
    return RatedEvent(profile, _limited(cost), None if reason else price, cost.source, total, billable, reason)


def rate_log(log: UsageLog, snapshot: RatingSnapshot, usage: Usage | None = None) -> tuple[PricedModel | None, Cost]:
    """The stored call's price in the price book, and by that price the cost of this usage, else of its own."""
    return _apply_price(inputs_of_log(log, usage), snapshot)


def unpriced_reason(price: PricedModel | None, cost: Cost) -> str | None:
    """Why a call with this price and cost is unpriced, as an UnpricedReason; None where it is priced."""
    if cost.billed:
        return None
    if price is None or not price.rates:
        return UnpricedReason.PRICE_UNKNOWN.value
    return (UnpricedReason.CONDITION_UNKNOWN if cost.unknown_condition else UnpricedReason.USAGE_UNKNOWN).value


def _is_free(inputs: RatingInputs, snapshot: RatingSnapshot) -> bool:
    price = inputs.price(snapshot.prices)
    return price is not None and price.is_free


def _apply_price(inputs: RatingInputs, snapshot: RatingSnapshot) -> tuple[PricedModel | None, Cost]:
    price = inputs.price(snapshot.prices)
    return price, costing.cost(price, inputs.quantities) if price else NO_COST


def _stated_cost(event: Event, reading: ServedCall | None) -> tuple[int | None, str]:
    """The cost stated by the caller, or else by the vendor, in nano-USD, and its CostSource."""
    stated = event.cost_nano
    if stated is None and reading and reading.cost_usd is not None:
        return money.nano_from_usd(Decimal(reading.cost_usd)), CostSource.VENDOR
    return stated, CostSource.CALLER


def _limited(cost: Cost) -> Cost:
    if cost.total_nano > money.MAX_EVENT_NANO:
        raise Refused("max_value", "The call would cost more than 1,000,000 USD, the maximum for one event.", "usage")
    return cost


def _inputs_of_event(event: Event, at: datetime, profile: CallProfile, reading: ServedCall | None) -> RatingInputs:
    variant = _served_variant(profile.variant, reading.variant) if reading else profile.variant
    included = event.cached_tokens_included
    counted = quantities_of(event.usage, variant, profile.category, cached_included=included, at=at)
    model = reading.model if reading else ""
    return RatingInputs(profile.detection.actual_provider, event.model, model, at, counted)


def inputs_of_log(log: UsageLog, usage: Usage | None = None) -> RatingInputs:
    """The inputs from which the log was rated, with its present provider; with this usage, if it is given."""
    at, served_model = log.timestamp.astimezone(UTC), (log.reading or {}).get("model", "")
    return RatingInputs(log.display_provider, log.model_used, served_model, at, quantities_of_log(log, usage))


def quantities_of_log(log: Any, usage: Usage | None = None) -> Quantities:  # noqa: ANN401 - any form of a log that has the columns
    """The quantities from which the log was rated; those of this usage, if it is given."""
    served = (log.reading or {}).get("variant", {})
    requested = call_profile.variant_at(msgspec.convert(log.variant, Variant), log.endpoint)
    usage, at = usage or msgspec.convert(usage_of_log(log), Usage), log.timestamp.astimezone(UTC)
    variant = _served_variant(requested, served)
    return quantities_of(usage, variant, log.category, cached_included=log.cached_included, at=at)


def _served_variant(requested: quantities.Variant, served: Mapping[str, str]) -> quantities.Variant:
    """The variant that was served: as requested, unless the response says otherwise."""
    if not served:
        return requested
    fields = quantities.Variant._fields
    return requested._replace(**{key: value for key, value in served.items() if value and key in fields})


def quantities_of(
    usage: Usage, variant: quantities.Variant, category: str, *, cached_included: bool, at: datetime
) -> Quantities:
    """The usage as costing's Quantities. `at` is in UTC."""
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
        output_image_tokens=usage.output_image_tokens,
        cached_audio_tokens=usage.cached_audio_tokens,
        cached_image_tokens=usage.cached_image_tokens,
        input_video_tokens=usage.input_video_tokens,
        requests=usage.requests,
        images=usage.images,
        megapixels=_micro(usage.megapixels),
        seconds=_micro(usage.seconds),
        characters=usage.characters,
        searches=usage.searches,
        pages=usage.pages,
        web_fetches=usage.web_fetches,
        sessions=usage.sessions,
        cached_included=cached_included,
        variant=variant,
        category=category,
        utc_minute=at.hour * 60 + at.minute,
    )


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
    return None if amount is None else int(Decimal(amount) * quantities.MICRO)


# Quantities with their own columns; the others are stored in `units` unless they equal their default.
QUANTITY_COLUMNS = frozenset({"input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens"})


def stored_units(usage: Usage) -> dict[str, int | str]:
    units: dict[str, int | str] = msgspec.to_builtins(usage)  # omits defaults
    for name in QUANTITY_COLUMNS:
        units.pop(name, None)
    return units
