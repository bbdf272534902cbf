"""Calls that are about to run, as callers describe them: shape, bounds, and what they would cost. For limits.py and the API.

An operation is read as the event that it will become, so that both are detected and priced in one way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from billing.charges import rating
from billing.errors import Refused
from billing.events import events
from billing.events.events import Category, Event, Shape, Slug, Usage, Variant
from billing.limits.decisions import Ask
from billing.models import CostSource
from billing.plans.meters import asked
from lib import money

MOST_OPERATIONS = 100
MOST_CALLS = 10_000


class Estimate(Usage, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What one call is expected to use, and its cost where the caller knows it better than the price book."""

    cost_usd: str | None = None


class Operation(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`count` equal calls; the other fields are those of an event."""

    provider: Slug
    category: Category | None = None
    model: Annotated[str, Meta(max_length=200)] = ""
    endpoint: Annotated[str, Meta(max_length=2000)] = ""
    served_by: Annotated[str, Meta(max_length=100)] | None = None
    variant: Variant = msgspec.field(default_factory=Variant)
    count: Annotated[int, Meta(ge=1, le=MOST_CALLS)] = 1
    estimate: Estimate = msgspec.field(default_factory=Estimate)


Operations = Annotated[list[Operation], Meta(min_length=1, max_length=MOST_OPERATIONS)]


def asks(operations: Sequence[Operation], at: datetime) -> list[Ask]:
    """What each operation asks for, by the rules and prices in force. Raises Refused, with the operation's place."""
    edition = rating.snapshot()
    found = []
    for index, operation in enumerate(operations):
        try:
            found.append(_ask(operation, at, edition))
        except Refused as refused:
            raise Refused(refused.code, refused.detail, f"operations.{index}.{_attr(refused.attr)}") from refused
    if sum(ask.cost_nano for ask in found) > money.EVENT_LIMIT_NANO:
        raise Refused("max_value", "Together these would cost more than 1,000,000 USD.", "operations")
    return found


def converted(raw: object, into: type[Shape]) -> Shape:
    """As events.converted, with a field's place in a list told as in a batch of events: `operations.0.provider`."""
    try:
        return events.converted(raw, into)
    except Refused as refused:
        raise Refused(refused.code, refused.detail, re.sub(r"\[([0-9]+)\]", r".\1", refused.attr)) from refused


def digest(operations: Sequence[Operation], ttl_seconds: int) -> UUID:
    """What tells a repeat from another request, in the manner of an event's digest."""
    canonical = msgspec.json.encode([ttl_seconds, operations], order="sorted")
    return UUID(bytes=hashlib.sha256(canonical).digest()[:16], version=5)


def _ask(operation: Operation, at: datetime, edition: rating.RatingSnapshot) -> Ask:
    event = _event(operation)
    rated = rating.rate(event, at, edition)
    group = (event.provider.lower(), rated.kind.detection.actual_provider, rated.kind.category)
    quantity = asked(group, count=operation.count, tokens=rated.tokens_total, cost_nano=rated.cost.total_nano)
    priced = rated.source != CostSource.UNPRICED or _has_price(rated, event, at, edition)
    return Ask(quantity, rated.cost.total_nano * operation.count, priced)


def _has_price(rated: rating.Rated, event: Event, at: datetime, edition: rating.RatingSnapshot) -> bool:
    """An estimate without quantities costs nothing yet, although its price may well be known."""
    price = edition.prices.find(rated.kind.detection.actual_provider, event.model, at.astimezone(UTC).date())
    return bool(price and price.rates)


def _event(operation: Operation) -> Event:
    told: dict[str, Any] = msgspec.to_builtins(operation)
    told.pop("count", None)
    usage = told.pop("estimate", {})
    return events.parse({"event_id": "-", **told, "cost_usd": usage.pop("cost_usd", None), "usage": usage})


def _attr(attr: str) -> str:
    """The event's field as the operation names it."""
    if attr == "cost_usd":
        return "estimate.cost_usd"
    return f"estimate{attr.removeprefix('usage')}" if attr.startswith("usage") else attr
