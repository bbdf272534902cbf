"""Operations: calls that are about to run, as callers describe them, and the usage and cost that they request.

An operation is converted to an event first, so that both are detected and priced by the same code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from billing.charges import rating
from billing.errors import Refused
from billing.events import events, usage_parts
from billing.events.events import Category, Event, Slug, StructType, Usage, Variant
from billing.limits.decisions import RequestedUsage
from billing.models import UnpricedReason
from billing.plans.meters import requested_quantity
from lib import money

MAX_OPERATIONS = 100
MAX_CALLS = 10_000


class Estimate(Usage, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Expected usage of one call; `cost_usd` replaces the cost by the price book."""

    cost_usd: str | None = None


class Operation(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`count` identical calls; the other fields are those of an event."""

    provider: Slug
    category: Category | None = None
    model: Annotated[str, Meta(max_length=200)] = ""
    endpoint: Annotated[str, Meta(max_length=2000)] = ""
    served_by: Annotated[str, Meta(max_length=100)] | None = None
    variant: Variant = msgspec.field(default_factory=Variant)
    count: Annotated[int, Meta(ge=1, le=MAX_CALLS)] = 1
    estimate: Estimate = msgspec.field(default_factory=Estimate)


Operations = Annotated[list[Operation], Meta(min_length=1, max_length=MAX_OPERATIONS)]


def requested_usage(operations: Sequence[Operation], at: datetime) -> list[RequestedUsage]:
    """Usage and cost of each operation, by the rules and prices in force. Raises Refused; `attr` names the operation."""
    snapshot = rating.snapshot()
    requests = []
    for index, operation in enumerate(operations):
        try:
            requests.append(_requested_usage(operation, at, snapshot))
        except Refused as refused:
            raise _locate(refused, index) from refused
    if sum(request.cost_nano for request in requests) > money.MAX_EVENT_NANO:
        raise Refused("max_value", "These operations together would cost more than 1,000,000 USD.", "operations")
    return requests


def find_excess_part(operations: Sequence[Operation]) -> Refused | None:
    """The refusal of the first estimate with a part that does not fit into its whole, which would be cut; None if all fit."""
    for index, operation in enumerate(operations):
        try:
            usage_parts.check(Event(event_id="-", provider=operation.provider, usage=operation.estimate))
        except Refused as refused:
            return _locate(refused, index)
    return None


def convert(raw: object, into: type[StructType]) -> StructType:
    """events.convert, with list positions in `attr` as in a batch of events: `operations.0.provider`."""
    try:
        return events.convert(raw, into)
    except Refused as refused:
        raise Refused(refused.code, refused.detail, re.sub(r"\[([0-9]+)\]", r".\1", refused.attr)) from refused


def digest(operations: Sequence[Operation], ttl_seconds: int) -> UUID:
    """Digest of the request; equal for a repeat. Built like an event's digest."""
    canonical = msgspec.json.encode([ttl_seconds, operations], order="sorted")
    return UUID(bytes=hashlib.sha256(canonical).digest()[:16], version=5)


def _requested_usage(operation: Operation, at: datetime, snapshot: rating.RatingSnapshot) -> RequestedUsage:
    event = _as_event(operation)
    rated = rating.rate(event, at, snapshot)
    group = (rated.profile.declared, rated.profile.detection.actual_provider, rated.profile.category)
    quantity = requested_quantity(
        group,
        count=operation.count,
        calls=max(event.usage.requests, 1),
        tokens=rated.tokens_total,
        cost_nano=rated.cost.total_nano,
    )
    priced = rated.unpriced_reason in (None, UnpricedReason.USAGE_UNKNOWN)  # an estimate may have nothing to price
    return RequestedUsage(quantity, rated.cost.total_nano * operation.count, priced)


def _as_event(operation: Operation) -> Event:
    fields: dict[str, Any] = msgspec.to_builtins(operation)
    fields.pop("count", None)
    usage = fields.pop("estimate", {})
    return events.parse({"event_id": "-", **fields, "cost_usd": usage.pop("cost_usd", None), "usage": usage})


def _locate(refused: Refused, index: int) -> Refused:
    return Refused(refused.code, refused.detail, f"operations.{index}.{_operation_field(refused.attr)}")


def _operation_field(attr: str) -> str:
    """Translate an event's field name to the operation's."""
    if attr == "cost_usd":
        return "estimate.cost_usd"
    return f"estimate{attr.removeprefix('usage')}" if attr.startswith("usage") else attr
