"""Decides whether calls may run, given limits, usage and reservations. Pure.

A request is granted whole or not at all. Each operation is judged after the ones before it; a refused one reserves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple

from billing.ledger.quantities import Quantity
from billing.plans.meters import Limit, amount_as_json
from lib import money

DAY = "day"
INACTIVE, NOT_IN_PLAN, UNPRICED, EXCEEDED = "subscription_inactive", "not_in_plan", "unpriced_model", "limit_exceeded"
REFUSAL_ORDER = (
    INACTIVE,
    NOT_IN_PLAN,
    UNPRICED,
    EXCEEDED,
)  # reported first: the refusals that waiting does not resolve


class OpenWindow(NamedTuple):
    """The open usage period [start, end) and local day: their dates, and the instants at which they end."""

    start: date
    end: date
    today: date
    ends_at: datetime
    day_ends_at: datetime


@dataclass(frozen=True, slots=True)
class RequestedUsage:
    """What one operation requests, and the cost of its calls together (nano-USD); `priced` is whether the price is known."""

    quantity: Quantity
    cost_nano: int
    priced: bool


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """An account's recorded usage in the open period and on the open day, and what live reservations hold."""

    period: Sequence[Quantity]
    day: Sequence[Quantity]
    held: Sequence[Quantity]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """An account's usage under one limit, in the meter's unit (cost: nano-USD)."""

    limit: Limit
    used: int
    reserved: int
    resets_at: datetime
    requested: int = 0

    @property
    def remaining(self) -> int | None:
        return None if self.limit.amount is None else max(self.limit.amount - self.used - self.reserved, 0)

    @property
    def exceeded(self) -> bool:
        amount = self.limit.amount
        return self.limit.hard and amount is not None and self.used + self.reserved + self.requested > amount

    @property
    def blocked_by_holds(self) -> bool:
        """Whether only reservations of running calls are in the way; these may be released soon."""
        return self.used + self.requested <= (self.limit.amount or 0)


class Refusal(Exception):
    """Why calls may not run: a code, a sentence, and the limit that refuses them, if any."""

    def __init__(self, code: str, detail: str, limit_status: LimitStatus | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.limit_status = code, detail, limit_status


@dataclass(frozen=True, slots=True)
class OperationDecision:
    """One operation: what it requests, the limits that apply to it, and why it may not run."""

    requested: RequestedUsage
    statuses: tuple[LimitStatus, ...]
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Decision:
    operations: tuple[OperationDecision, ...]
    resets_at: datetime

    @property
    def refusal(self) -> Refusal | None:
        """The refusal to report: the first one by code, then by operation."""
        refusals = [operation.refusal for operation in self.operations if operation.refusal]
        return min(refusals, key=lambda refusal: REFUSAL_ORDER.index(refusal.code), default=None)

    @property
    def cost_nano(self) -> int:
        return sum(operation.requested.cost_nano for operation in self.operations)


def decide(
    requests: Iterable[RequestedUsage],
    *,
    limits: Sequence[Limit],
    usage: CurrentUsage,
    window: OpenWindow,
    inactive: str | None,
    block_unpriced: bool,
) -> Decision:
    """Judge each operation, counting what the granted ones before it would hold."""
    operations = []
    for requested in requests:
        statuses = tuple(_applicable_statuses(requested, limits, usage, window))
        refusal = _refusal(requested, statuses, inactive, block_unpriced)
        operations.append(OperationDecision(requested, statuses, refusal))
        if refusal is None:
            usage = replace(usage, held=[*usage.held, requested.quantity])
    return Decision(tuple(operations), window.ends_at)


def limit_status(limit: Limit, usage: CurrentUsage, window: OpenWindow, requested: int = 0) -> LimitStatus:
    daily = limit.per == DAY
    return LimitStatus(
        limit=limit,
        used=limit.meter.total(usage.day if daily else usage.period),
        reserved=limit.meter.total(usage.held),
        resets_at=window.day_ends_at if daily else window.ends_at,
        requested=requested,
    )


def _applicable_statuses(
    requested: RequestedUsage, limits: Iterable[Limit], usage: CurrentUsage, window: OpenWindow
) -> Iterator[LimitStatus]:
    for limit in limits:
        if limit.meter.applies_to(requested.quantity):
            yield limit_status(limit, usage, window, limit.meter.total([requested.quantity]))


def _refusal(
    requested: RequestedUsage, statuses: Sequence[LimitStatus], inactive: str | None, block_unpriced: bool
) -> Refusal | None:
    if inactive:
        return Refusal(INACTIVE, inactive)
    exceeded = [status for status in statuses if status.exceeded]
    for status in exceeded:
        if status.limit.amount == 0:
            return Refusal(NOT_IN_PLAN, f"{status.limit.meter.label}: not allowed, the limit is 0.", status)
    if block_unpriced and not requested.priced:
        return Refusal(UNPRICED, "The price of this call is unknown, and unpriced calls are blocked.")
    return Refusal(EXCEEDED, _describe_exceeded(exceeded[0]), exceeded[0]) if exceeded else None


def _describe_exceeded(status: LimitStatus) -> str:
    """ "Video calls: 2 of 2 used, 0 reserved, 1 requested. Resets at 2026-12-01 00:00 UTC." """
    used, limit, reserved, requested = (
        format_amount(status.limit, amount)
        for amount in (status.used, status.limit.amount or 0, status.reserved, status.requested)
    )
    per = " today" if status.limit.per == DAY else ""
    return (
        f"{status.limit.meter.label}: {used} of {limit} used{per}, {reserved} reserved, {requested} requested. "
        f"Resets at {status.resets_at:%Y-%m-%d %H:%M} UTC."
    )


def format_amount(limit: Limit, amount: int) -> str:
    """An amount in the limit's unit as text, exact: "$0.25", "1,000"."""
    return f"${money.exact_usd(amount)}" if limit.meter.unit == "cost" else f"{amount:,}"


def as_json(decision: Decision) -> dict[str, Any]:
    """The decision as JSON; a reservation stores it as its grant."""
    return {
        "allowed": decision.refusal is None,
        "estimated_cost_usd": money.exact_usd(decision.cost_nano),
        "operations": [_operation_as_json(operation) for operation in decision.operations],
        "resets_at": decision.resets_at,
    }


def _operation_as_json(operation: OperationDecision) -> dict[str, Any]:
    requested, refusal = operation.requested, operation.refusal
    return {
        "allowed": refusal is None,
        "estimated_cost_usd": money.exact_usd(requested.cost_nano) if requested.priced else None,
        "priced": requested.priced,
        "actual_provider": requested.quantity.actual,
        "meters": [
            {
                "per": status.limit.per,
                **limit_as_json(status),
                "remaining": amount_as_json(status.limit.meter.unit, status.remaining),
            }
            for status in operation.statuses
        ],
        "code": refusal.code if refusal else None,
        "reason": refusal.detail if refusal else None,
    }


def limit_as_json(status: LimitStatus) -> dict[str, Any]:
    """The `limit` object of a refusal."""
    unit = status.limit.meter.unit
    return {
        "meter": status.limit.meter.slug,
        "limit": amount_as_json(unit, status.limit.amount),
        "used": amount_as_json(unit, status.used),
        "reserved": amount_as_json(unit, status.reserved),
        "requested": amount_as_json(unit, status.requested),
        "resets_at": status.resets_at,
    }
