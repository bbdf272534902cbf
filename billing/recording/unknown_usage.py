"""The state of a call's usage, and what is recorded where it is not known in full: an estimate, or an unpriced call."""

from __future__ import annotations

from django.conf import settings

from billing.charges import rating
from billing.charges.rating import RatedEvent
from billing.events import call_failures
from billing.events.events import Event
from billing.ledger.quantities import Quantity
from billing.limits.reservations import HeldReservation
from billing.models import CostSource, UnpricedReason, UsageState
from billing.plans.meters import MIN_REQUESTED
from lib import money

STATED = (CostSource.CALLER, CostSource.VENDOR)  # costs that no usage can change


def is_aborted(event: Event, *, answered: bool) -> bool:
    """Whether the call may have used what nobody knows; `answered`: whether a vendor answered before it was aborted."""
    return answered and event.status_code == call_failures.CANCELLED


def with_usage_state(
    event: Event, rated: RatedEvent, reservation: HeldReservation | None, *, aborted: bool
) -> RatedEvent:
    """The rated event with its `usage_state`.

    What was read in part is an estimate: at least this much was used. A call whose usage is unknown is billed what was read
    or what its reservation holds for one call, whichever is more, as an estimate; without either it is unpriced. At a price
    of zero for everything it is free.
    """
    is_unknown = rated.unpriced_reason == UnpricedReason.USAGE_UNKNOWN or (rated.price and not rated.cost.lines)
    if is_unknown or (aborted and rated.source not in STATED):
        return _unknown(rated._replace(billable=True), _held_for_one_call(rated, reservation))
    if not (event.reading and event.reading.unread):
        return rated
    by_price = rated.price is not None and not _is_always_free(rated)
    source = CostSource.ESTIMATE if by_price else rated.source
    return rated._replace(usage_state=UsageState.INCOMPLETE, source=source)


def _is_always_free(rated: RatedEvent) -> bool:
    """Whether no usage costs anything at the call's price. What was read may be free where the rest is not."""
    return rated.price is not None and rated.price.is_free


def _unknown(rated: RatedEvent, held: Quantity | None) -> RatedEvent:
    rated = rated._replace(usage_state=UsageState.UNKNOWN)
    if _is_always_free(rated):
        return rated
    if settings.ABORTED_CALLS == "estimate" and held and held.cost_nano > rated.cost.total_nano:
        cost = rating.NO_COST._replace(other_nano=held.cost_nano, total_nano=held.cost_nano)
        tokens = max(rated.tokens_total, held.tokens)
        return rated._replace(
            cost=cost, price=None, source=CostSource.ESTIMATE, tokens_total=tokens, unpriced_reason=None
        )
    if settings.ABORTED_CALLS == "estimate" and rated.cost.total_nano:
        return rated._replace(source=CostSource.ESTIMATE)
    reason = rated.unpriced_reason or UnpricedReason.USAGE_UNKNOWN
    return rated._replace(cost=rating.NO_COST, price=None, source=CostSource.UNPRICED, unpriced_reason=reason)


def _held_for_one_call(rated: RatedEvent, reservation: HeldReservation | None) -> Quantity | None:
    """What the reservation holds for one call such as this; None if it holds no estimated cost for it."""
    group = (rated.profile.declared, rated.profile.detection.actual_provider, rated.profile.category)
    held = next((row for row in reservation.held if row.group == group), None) if reservation else None
    if held is None or held.cost_nano <= MIN_REQUESTED:
        return None
    tokens = held.tokens // held.calls
    return held._replace(calls=1, tokens=tokens, cost_nano=money.divide_half_even(held.cost_nano, held.calls))
