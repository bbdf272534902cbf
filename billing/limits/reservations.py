"""Room held under the limits for calls that are about to run: reserved, settled by the usage that names it, released, expired.

Reserving locks the account's row, so that decisions about one account stand in a line; recording never takes that lock.
Settling runs inside metering's transaction, between the logs and the rollups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import Model

from billing.accounts import accounts
from billing.accounts.accounts import Known
from billing.errors import Refused
from billing.ledger.quantities import Quantity, grouped
from billing.limits import decisions, limits, operations
from billing.limits.decisions import Ask, Decision
from billing.limits.operations import Operation
from billing.models import Account, UsageHold, UsageReservation
from billing.plans import plans
from lib import ids, postgres, retry, uuids

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
    return retry.on_deadlock(lambda: _reserve(account, wanted, asks, at))


def _reserve(guess: Account, wanted: Wanted, asks: Sequence[Ask], at: datetime) -> tuple[UsageReservation, bool]:
    key = ids.key_of(wanted.reservation_id)
    with postgres.short_transaction(connection):
        locked = accounts.locking(guess.pk)
        moment = limits.read(
            guess, at, reservation_key=key
        )  # behind the lock on the way, so it sees what the last one left
        account = locked()
        if account.schedule != guess.schedule:
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
        reservation_key=ids.key_of(wanted.reservation_id),
        digest=operations.digest(wanted.operations, wanted.ttl_seconds),
        period=limits.window(account, at).start,
        grant=msgspec.to_builtins(decisions.told(decision)),
        created_at=at,
        expires_at=at + timedelta(seconds=wanted.ttl_seconds),
    )
    rows = grouped(judged.ask.quantity for judged in decision.operations)
    _insert(UsageReservation, [[getattr(made, field.attname) for field in UsageReservation._meta.concrete_fields]])
    _insert(UsageHold, [[account.pk, made.pk, *row] for row in rows])
    return made


def _insert(model: type[Model], rows: Sequence[Sequence[Any]]) -> None:
    """Rows with every column in the model's order, by one statement: a fifth of the cost of `save` and `bulk_create`."""
    fields = model._meta.concrete_fields
    row = f"({', '.join(['%s'] * len(fields))})"
    columns = ", ".join(connection.ops.quote_name(field.attname) for field in fields)
    sql = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES {', '.join([row] * len(rows))}"  # noqa: S608 - ours
    values = [
        field.get_db_prep_save(value, connection) for one in rows for field, value in zip(fields, one, strict=True)
    ]
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(sql, values)


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
class HeldReservation:
    """A reservation that usage settles: its id, its account, and what it holds."""

    id: UUID
    account: Known
    held: list[Quantity]


_ROOMS = """
SELECT room.reservation_key, room.id, hold.declared, hold.actual, hold.category, hold.calls, hold.tokens, hold.cost_nano
FROM usage_reservations room
JOIN usage_holds hold ON hold.account_id = room.account_id AND hold.reservation_id = room.id
WHERE room.account_id = %s AND room.reservation_key IN ({})"""


def rooms(named: Iterable[tuple[Known, UUID]]) -> dict[Key, HeldReservation]:
    """The reservations that events name, by account and the caller's key."""
    by_account: dict[Known, set[UUID]] = {}
    for account, key in named:
        by_account.setdefault(account, set()).add(key)
    found: dict[Key, HeldReservation] = {}
    for account, wanted in by_account.items():
        for key, id_, *held in _rows(account.id, list(wanted)):
            room = found.setdefault((account.id, uuids.read(key)), HeldReservation(uuids.read(id_), account, []))
            room.held.append(Quantity(*held))
    return found


def _rows(account_id: int, wanted: Sequence[UUID]) -> list[Any]:
    sql = _ROOMS.format(", ".join(["%s"] * len(wanted)))
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(sql, [account_id, *(uuids.written(connection, key) for key in wanted)])
        return list(cursor.fetchall())


# MySQL assigns from left to right and reads what it has assigned: the state comes last. `over` is a word of its own there.
_SETTLED = """
UPDATE usage_reservations SET
    {over} = CASE WHEN state = 'held' AND expires_at > %s THEN %s ELSE %s END,
    decided_at = CASE WHEN state IN ('held', 'expired') THEN %s ELSE decided_at END,
    state = CASE WHEN state IN ('held', 'expired') THEN 'settled' ELSE state END
WHERE account_id = %s AND id = %s"""


def settle(used: Mapping[Key, Sequence[Quantity]], named: Mapping[Key, HeldReservation], at: datetime) -> None:
    """Free what reservations hold, as their usage is recorded; called by metering in its transaction.

    `used` is what is new under each: nothing where all of it had been recorded before. Usage above the hold, or after it
    ended, is flagged: it is recorded in full all the same.
    """
    for key, new in sorted(used.items()):
        room = named[key]
        if new:
            _settle(room, over=_goes_beyond(room, new, at), at=at)
        else:
            live = UsageReservation.objects.filter(account_id=room.account.id, pk=room.id, expires_at__gt=at)
            live.filter(state=State.HELD).update(state=State.SETTLED, over=False, decided_at=at)


def _settle(room: HeldReservation, *, over: bool, at: datetime) -> None:
    """One statement, whatever the state is by then."""
    now, reservation = connection.ops.adapt_datetimefield_value(at), uuids.written(connection, room.id)
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(
            _SETTLED.format(over=connection.ops.quote_name("over")),
            [now, over, True, now, room.account.id, reservation],
        )


def _goes_beyond(room: HeldReservation, new: Sequence[Quantity], at: datetime) -> bool:
    """Whether the usage is more than what was held, in any meter that is limited."""
    held = {row.group: row for row in room.held}
    if all(_fits(row, held.get(row.group)) for row in grouped(new)):
        return False  # in every meter there may be, so that no limit need be looked up
    capped = [limit.meter for limit in plans.effective_limits(room.account, at) if limit.amount is not None]
    return any(meter.total(new) > meter.total(room.held) for meter in capped)


def _fits(new: Quantity, held: Quantity | None) -> bool:
    return (
        held is not None and new.calls <= held.calls and new.tokens <= held.tokens and new.cost_nano <= held.cost_nano
    )
