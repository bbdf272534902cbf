"""May these calls run? The rule, over limits, use and holds that somebody read. Pure; called by limits.py only.

All or nothing over the operations of a request: each is judged with those before it, and one that is refused takes no room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple

from billing.ledger.quantities import Quantity
from billing.plans.meters import Limit
from billing.plans.meters import told as told_amount
from lib import money

DAY = "day"
INACTIVE, NOT_IN_PLAN, UNPRICED, EXCEEDED = "subscription_inactive", "not_in_plan", "unpriced_model", "limit_exceeded"
ORDER = (
    INACTIVE,
    NOT_IN_PLAN,
    UNPRICED,
    EXCEEDED,
)  # in which refusals are told: what waiting does not cure comes first


class Window(NamedTuple):
    """The usage period and the local day that are open: their dates, and the instants at which they end."""

    start: date
    end: date
    today: date
    ends_at: datetime
    day_ends_at: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """What one operation asks for, and what it would cost all together; `priced` is whether that is known."""

    quantity: Quantity
    cost_nano: int
    priced: bool


@dataclass(frozen=True, slots=True)
class Use:
    """What an account used in the open period and on the open day, and what is held for calls that run."""

    period: Sequence[Quantity]
    day: Sequence[Quantity]
    held: Sequence[Quantity]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """Where an account stands with one limit, in the meter's unit. `requested` is what is asked for on top."""

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
    def held_up(self) -> bool:
        """Refused only because of calls that are running: some of that room may be free in a moment."""
        return self.used + self.requested <= (self.limit.amount or 0)


class Refusal(Exception):
    """Why calls may not run: a code, a sentence, and the limit that stands in the way, where it is one."""

    def __init__(self, code: str, detail: str, standing: LimitStatus | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.standing = code, detail, standing


@dataclass(frozen=True, slots=True)
class Judged:
    """One operation: what it asks, every meter that it touches, and why it may not run."""

    ask: Ask
    standings: tuple[LimitStatus, ...]
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Decision:
    operations: tuple[Judged, ...]
    resets_at: datetime

    @property
    def refusal(self) -> Refusal | None:
        """The first one, in the order of codes and then of operations."""
        refusals = [one.refusal for one in self.operations if one.refusal]
        return min(refusals, key=lambda refusal: ORDER.index(refusal.code), default=None)

    @property
    def cost_nano(self) -> int:
        return sum(one.ask.cost_nano for one in self.operations)


def decide(
    asks: Iterable[Ask],
    *,
    limits: Sequence[Limit],
    use: Use,
    window: Window,
    inactive: str | None,
    block_unpriced: bool,
) -> Decision:
    """Judge each operation, with the room that the ones before it take."""
    judged = []
    for ask in asks:
        standings = tuple(_touched(ask, limits, use, window))
        refusal = _refusal(ask, standings, inactive, block_unpriced)
        judged.append(Judged(ask, standings, refusal))
        if refusal is None:
            use = replace(use, held=[*use.held, ask.quantity])
    return Decision(tuple(judged), window.ends_at)


def standing(limit: Limit, use: Use, window: Window, requested: int = 0) -> LimitStatus:
    daily = limit.per == DAY
    return LimitStatus(
        limit=limit,
        used=limit.meter.total(use.day if daily else use.period),
        reserved=limit.meter.total(use.held),
        resets_at=window.day_ends_at if daily else window.ends_at,
        requested=requested,
    )


def _touched(ask: Ask, limits: Iterable[Limit], use: Use, window: Window) -> Iterator[LimitStatus]:
    for limit in limits:
        if limit.meter.touches(ask.quantity):
            yield standing(limit, use, window, limit.meter.total([ask.quantity]))


def _refusal(ask: Ask, standings: Sequence[LimitStatus], inactive: str | None, block_unpriced: bool) -> Refusal | None:
    if inactive:
        return Refusal(INACTIVE, inactive)
    exceeded = [one for one in standings if one.exceeded]
    for one in exceeded:
        if one.limit.amount == 0:
            return Refusal(NOT_IN_PLAN, f"{one.limit.meter.label}: not allowed, the limit is 0.", one)
    if block_unpriced and not ask.priced:
        return Refusal(UNPRICED, "The price of this call is not known, and calls without one are blocked.")
    return Refusal(EXCEEDED, _in_words(exceeded[0]), exceeded[0]) if exceeded else None


def _in_words(one: LimitStatus) -> str:
    """ "Video calls: 2 of 2 used, 0 reserved, 1 more asked for. Resets at 2026-12-01 00:00 UTC." """
    used, limit, reserved, requested = (
        shown(one.limit, amount) for amount in (one.used, one.limit.amount or 0, one.reserved, one.requested)
    )
    per = " today" if one.limit.per == DAY else ""
    return (
        f"{one.limit.meter.label}: {used} of {limit} used{per}, {reserved} reserved, {requested} more asked for. "
        f"Resets at {one.resets_at:%Y-%m-%d %H:%M} UTC."
    )


def shown(limit: Limit, amount: int) -> str:
    """An amount as a sentence or a page says it, exactly."""
    return f"${money.exact_usd(amount)}" if limit.meter.unit == "cost" else f"{amount:,}"


def told(decision: Decision) -> dict[str, Any]:
    """A decision as JSON: the API's answer, which a reservation keeps as its grant."""
    return {
        "allowed": decision.refusal is None,
        "estimated_cost_usd": money.exact_usd(decision.cost_nano),
        "operations": [_told_operation(one) for one in decision.operations],
        "resets_at": decision.resets_at,
    }


def _told_operation(one: Judged) -> dict[str, Any]:
    return {
        "allowed": one.refusal is None,
        "estimated_cost_usd": money.exact_usd(one.ask.cost_nano) if one.ask.priced else None,
        "priced": one.ask.priced,
        "actual_provider": one.ask.quantity.actual,
        "meters": [
            {"per": each.limit.per, **told_limit(each), "remaining": told_amount(each.limit.meter.unit, each.remaining)}
            for each in one.standings
        ],
        "code": one.refusal.code if one.refusal else None,
        "reason": one.refusal.detail if one.refusal else None,
    }


def told_limit(one: LimitStatus) -> dict[str, Any]:
    """The limit object of a refusal."""
    return {
        "meter": one.limit.meter.slug,
        "limit": told_amount(one.limit.meter.unit, one.limit.amount),
        "used": told_amount(one.limit.meter.unit, one.used),
        "reserved": told_amount(one.limit.meter.unit, one.reserved),
        "requested": told_amount(one.limit.meter.unit, one.requested),
        "resets_at": one.resets_at,
    }
