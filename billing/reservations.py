"""Room held under the limits for calls that are about to run: reserved, settled by the usage that names it, released, expired.

Reserving locks the account's row, so that decisions about one account stand in a line; recording never takes that lock.
Settling runs inside metering's transaction, between the logs and the rollups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db import transaction

from billing import accounts, decisions, limits, operations, plans
from billing.decisions import Decision
from billing.events import Refused
from billing.meters import Quantity, grouped
from billing.models import Account, UsageHold, UsageReservation
from billing.operations import Ask, Operation
from lib import keys, retry

State = UsageReservation.State
Key = tuple[int, UUID]  # account, reservation_key
LONGEST, USUAL = 86_400, 900  # seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for room: the caller's own id for it, the calls, and for how long it holds."""

    reservation_id: str
    operations: Sequence[Operation]
    ttl_seconds: int


def reserve(account: Account, wanted: Wanted, at: datetime) -> tuple[UsageReservation, bool]:
    """The reservation, and whether it was made now; a repeat gets the first one, whatever became of it.

    Raises decisions.Refusal where a limit stands in the way, and Refused where the id stands for another request or an
    operation is not one. Nothing was stored then.
    """
    asks = operations.asks(wanted.operations, at)
    return retry.on_deadlock(lambda: _reserve(account.pk, wanted, asks, at))


def _reserve(account_id: int, wanted: Wanted, asks: Sequence[Ask], at: datetime) -> tuple[UsageReservation, bool]:
    key = keys.key_of(wanted.reservation_id)
    with transaction.atomic():
        account = accounts.lock(account_id)
        moment = limits.read(account, at, reservation_key=key)
        if moment.known:
            return _known(account, key, wanted), False
        decision = limits.decide(account, asks, moment, at)
        if decision.refusal:
            raise decision.refusal
        return _hold(account, wanted, decision, at), True


def _hold(account: Account, wanted: Wanted, decision: Decision, at: datetime) -> UsageReservation:
    made = UsageReservation(
        account=account,
        reservation_id=wanted.reservation_id,
        reservation_key=keys.key_of(wanted.reservation_id),
        digest=operations.digest(wanted.operations, wanted.ttl_seconds),
        period=limits.window(account, at).start,
        grant=msgspec.to_builtins(decisions.told(decision)),
        created_at=at,
        expires_at=at + timedelta(seconds=wanted.ttl_seconds),
    )
    made.save(force_insert=True)
    UsageHold.objects.bulk_create(
        UsageHold(account_id=account.pk, reservation_id=made.pk, **row._asdict())
        for row in grouped(judged.ask.quantity for judged in decision.operations)
    )
    return made


def _known(account: Account, key: UUID, wanted: Wanted) -> UsageReservation:
    known = UsageReservation.objects.get(account=account, reservation_key=key)
    if known.digest != operations.digest(wanted.operations, wanted.ttl_seconds):
        raise Refused(
            "reservation_conflict", "This id is reserved for another request; the first one is kept.", "reservation_id"
        )
    return known


def find(reservation: UUID, account: Account | None) -> UsageReservation | None:
    """The reservation by our id, of this account or of any."""
    found = UsageReservation.objects.select_related("account").filter(pk=reservation)
    return found.filter(account=account).first() if account else found.first()


def state_at(reservation: UsageReservation, at: datetime) -> str:
    """Its state, also where nothing has marked it as expired yet."""
    expired = reservation.state == State.HELD and reservation.expires_at <= at
    return State.EXPIRED if expired else State(reservation.state)


def release(reservation: UsageReservation, at: datetime) -> UsageReservation:
    """Free the room, once; one that holds no more stays as it is."""
    stored = UsageReservation.objects.filter(account_id=reservation.account_id, pk=reservation.pk)
    with transaction.atomic():
        stored.filter(state=State.HELD, expires_at__gt=at).update(state=State.RELEASED, decided_at=at)
        reservation.refresh_from_db(fields=["state", "decided_at", "over"])
    return reservation


def expire(at: datetime) -> int:
    """Mark what expired, for whoever looks; it was free before already. How many these were."""
    return UsageReservation.objects.filter(state=State.HELD, expires_at__lte=at).update(
        state=State.EXPIRED, decided_at=at
    )


@dataclass(frozen=True, slots=True)
class Room:
    """A reservation that usage settles: its id, its account, and what it holds."""

    id: UUID
    account: Account
    held: list[Quantity]


def rooms(named: Iterable[Key]) -> dict[Key, Room]:
    """The reservations that events name, by account and the caller's key."""
    by_account: dict[int, set[UUID]] = {}
    for account_id, key in named:
        by_account.setdefault(account_id, set()).add(key)
    found: dict[Key, Room] = {}
    for account_id, wanted in by_account.items():
        holds = UsageHold.objects.filter(account_id=account_id, reservation__reservation_key__in=wanted)
        for hold in holds.filter(reservation__account_id=account_id).select_related("account", "reservation"):
            room = Room(hold.reservation_id, hold.account, [])
            found.setdefault((account_id, hold.reservation.reservation_key), room).held.append(_quantity(hold))
    return found


def settle(used: Mapping[Key, Sequence[Quantity]], named: Mapping[Key, Room], at: datetime) -> None:
    """Free what reservations hold, as their usage is recorded; called by metering in its transaction.

    `used` is what is new under each: nothing where all of it had been recorded before. Usage above the hold, or after it
    ended, is flagged: it is recorded in full all the same.
    """
    for key, new in sorted(used.items()):
        room = named[key]
        stored = UsageReservation.objects.filter(account_id=room.account.pk, pk=room.id)
        live = stored.filter(state=State.HELD, expires_at__gt=at)
        over = _goes_beyond(room, new, at)
        if not live.update(state=State.SETTLED, over=over, decided_at=at) and new:
            late = stored.filter(state__in=(State.HELD, State.EXPIRED))
            if not late.update(state=State.SETTLED, over=True, decided_at=at):
                stored.update(over=True)


def _goes_beyond(room: Room, new: Sequence[Quantity], at: datetime) -> bool:
    """Whether the usage is more than what was held, in any meter that is limited."""
    if not new:
        return False
    capped = [limit.meter for limit in plans.effective_limits(room.account, at) if limit.amount is not None]
    return any(meter.total(new) > meter.total(room.held) for meter in capped)


def _quantity(hold: UsageHold) -> Quantity:
    return Quantity(hold.declared, hold.actual, hold.category, hold.calls, hold.tokens, hold.cost_nano)
