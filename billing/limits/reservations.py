"""Reservations: usage held under the limits for calls that are about to run; then settled, released or expired.

Reserving locks the account's row, so decisions for one account are serialised; recording never takes that lock.
Settling is part of the recording transaction, between the logs and the rollups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Model

from billing.accounts import accounts
from billing.accounts.accounts import AccountRow
from billing.errors import Refused
from billing.ledger.quantities import Quantity, sum_by_group
from billing.limits import decisions, limits, operations
from billing.limits.decisions import Decision, RequestedUsage
from billing.limits.operations import Operation
from billing.models import Account, UsageHold, UsageReservation
from billing.plans import plans
from lib import ids, postgres, retry, uuids

State = UsageReservation.State
ReservationKey = tuple[int, UUID]  # account id, reservation_key
MAX_TTL_SECONDS, DEFAULT_TTL_SECONDS = 86_400, 900


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """The caller's own id for the reservation, the calls, and how long they may be held."""

    reservation_id: str
    operations: Sequence[Operation]
    ttl_seconds: int


def reserve(account: Account, request: ReservationRequest, at: datetime) -> tuple[UsageReservation, bool]:
    """Reserve the calls. Returns the reservation, and whether it is new; a repeat gets the first one in any state.

    Raises decisions.Refusal where a limit refuses the calls, and Refused for an invalid operation or an id that was used for
    a different request. Nothing is stored then.
    """
    usage = operations.requested_usage(request.operations, at)
    outcome = retry.on_deadlock(lambda: _reserve(account, request, usage, at))
    if isinstance(outcome, decisions.Refusal | Refused):
        raise outcome
    return outcome


def _reserve(
    unlocked: Account, request: ReservationRequest, usage: Sequence[RequestedUsage], at: datetime
) -> tuple[UsageReservation, bool] | decisions.Refusal | Refused:
    """Returns a refusal instead of raising it: the transaction has written nothing, and psycopg forgets all prepared
    statements at a rollback.
    """
    key = ids.lookup_key(request.reservation_id)
    with postgres.pipelined_transaction(connection):
        locked = accounts.start_lock(unlocked.pk)
        # pipelined after the lock; sees the previous transaction's result
        inputs = limits.load_inputs(unlocked, at, reservation_key=key)
        account = locked()
        if account.schedule != unlocked.schedule:
            inputs = limits.load_inputs(account, at, reservation_key=key)
        if inputs.reservation_exists:
            return _repeated(account, key, request), False
        if excess := operations.find_excess_part(
            request.operations
        ):  # earlier releases granted it: a repeat is no error
            return excess
        decision = limits.decide(account, usage, inputs, at)
        if decision.refusal:
            return decision.refusal
        return _create(account, request, decision, at), True


def _create(account: Account, request: ReservationRequest, decision: Decision, at: datetime) -> UsageReservation:
    reservation = UsageReservation(
        account=account,
        reservation_id=request.reservation_id,
        reservation_key=ids.lookup_key(request.reservation_id),
        digest=operations.digest(request.operations, request.ttl_seconds),
        period=limits.open_window(account, at).start,
        grant=msgspec.to_builtins(decisions.as_json(decision)),
        created_at=at,
        expires_at=at + timedelta(seconds=request.ttl_seconds),
    )
    holds = sum_by_group(operation.requested.quantity for operation in decision.operations)
    _insert(
        UsageReservation, [[getattr(reservation, field.attname) for field in UsageReservation._meta.concrete_fields]]
    )
    _insert(UsageHold, [[account.pk, reservation.pk, *hold] for hold in holds])
    return reservation


def _insert(model: type[Model], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows (all columns, in the model's order) by one statement: a fifth of the cost of `save` and `bulk_create`."""
    fields = model._meta.concrete_fields
    placeholders = f"({', '.join(['%s'] * len(fields))})"
    columns = ", ".join(connection.ops.quote_name(field.attname) for field in fields)
    sql = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES {', '.join([placeholders] * len(rows))}"  # noqa: S608 - our own names
    values = [
        field.get_db_prep_save(value, connection) for row in rows for field, value in zip(fields, row, strict=True)
    ]
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(sql, values)


def _repeated(account: Account, key: UUID, request: ReservationRequest) -> UsageReservation:
    reservation = UsageReservation.objects.get(account=account, reservation_key=key)
    if reservation.digest != operations.digest(request.operations, request.ttl_seconds):
        raise Refused(
            "reservation_conflict",
            "This id was used for a different request; the first reservation is kept.",
            "reservation_id",
        )
    return reservation


def find(reservation: UUID, account: Account | None) -> UsageReservation | None:
    """The reservation by its primary key; None where it does not exist or belongs to another account than `account`."""
    rows = UsageReservation.objects.select_related("account").filter(pk=reservation)
    return rows.filter(account=account).first() if account else rows.first()


def state_at(reservation: UsageReservation, at: datetime) -> str:
    """Its state at that time: expired also where the job has not marked it yet."""
    expired = reservation.state == State.HELD and reservation.expires_at <= at
    return State.EXPIRED if expired else State(reservation.state)


@retry.atomic
def release(reservation: UsageReservation, at: datetime) -> UsageReservation:
    """Release a live reservation; one that is settled, released or expired stays as it is."""
    rows = UsageReservation.objects.filter(account_id=reservation.account_id, pk=reservation.pk)
    rows.filter(state=State.HELD, expires_at__gt=at).update(state=State.RELEASED, decided_at=at)
    reservation.refresh_from_db(fields=["state", "decided_at", "over"])
    return reservation


def expire(at: datetime) -> int:
    """Mark overdue reservations as expired; they hold nothing already. Returns how many."""
    return UsageReservation.objects.filter(state=State.HELD, expires_at__lte=at).update(
        state=State.EXPIRED, decided_at=at
    )


@dataclass(frozen=True, slots=True)
class HeldReservation:
    """A reservation that an event settles, and what it holds."""

    id: UUID
    account: AccountRow
    state: str
    created_at: datetime
    expires_at: datetime
    held: list[Quantity]

    def is_live(self, at: datetime) -> bool:
        return self.state == State.HELD and self.expires_at > at


_HELD_SQL = """
SELECT reservation.reservation_key, reservation.id, reservation.state, reservation.created_at, reservation.expires_at,
       hold.declared, hold.actual, hold.category, hold.calls, hold.tokens, hold.cost_nano
FROM usage_reservations reservation
JOIN usage_holds hold ON hold.account_id = reservation.account_id AND hold.reservation_id = reservation.id
WHERE reservation.account_id = %s AND reservation.reservation_key IN ({})"""


def load_held(keys: Iterable[tuple[AccountRow, UUID]]) -> dict[ReservationKey, HeldReservation]:
    """The reservations with these reservation_keys, and their holds."""
    by_account: dict[AccountRow, set[UUID]] = {}
    for account, key in keys:
        by_account.setdefault(account, set()).add(key)
    reservations: dict[ReservationKey, HeldReservation] = {}
    for account, account_keys in by_account.items():
        for key, id_, state, created_at, expires_at, *hold in _held_rows(account.id, list(account_keys)):
            new = HeldReservation(uuids.from_db(id_), account, state, _aware(created_at), _aware(expires_at), [])
            reservations.setdefault((account.id, uuids.from_db(key)), new).held.append(Quantity(*hold))
    return reservations


def _held_rows(account_id: int, keys: Sequence[UUID]) -> list[Any]:
    sql = _HELD_SQL.format(", ".join(["%s"] * len(keys)))
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(sql, [account_id, *(uuids.to_db(connection, key) for key in keys)])
        return list(cursor.fetchall())


def _aware(value: datetime) -> datetime:
    """A time from a raw query; without a zone except on PostgreSQL."""
    return value if value.tzinfo else value.replace(tzinfo=connection.timezone)


# MySQL assigns from left to right and reads assigned values, so `state` comes last. `over` is a reserved word there.
_SETTLE_SQL = """
UPDATE usage_reservations SET
    {over} = CASE WHEN state = 'held' AND expires_at > %s THEN %s ELSE %s END,
    decided_at = CASE WHEN state IN ('held', 'expired') THEN %s ELSE decided_at END,
    state = CASE WHEN state IN ('held', 'expired') THEN 'settled' ELSE state END
WHERE account_id = %s AND id = %s"""


def settle(
    used: Mapping[ReservationKey, Sequence[Quantity]], held: Mapping[ReservationKey, HeldReservation], at: datetime
) -> None:
    """Settle reservations with the newly recorded usage; empty where all of it was recorded before.

    Usage above the hold, or after it ended, sets `over`; it is recorded in full all the same. Needs the recording transaction.
    """
    for key, quantities in sorted(used.items()):
        reservation = held[key]
        if quantities:
            _settle(reservation, over=_exceeds_hold(reservation, quantities, at), at=at)
        else:
            rows = UsageReservation.objects.filter(account_id=reservation.account.id, pk=reservation.id)
            live = rows.filter(state=State.HELD, expires_at__gt=at)
            live.update(state=State.SETTLED, over=False, decided_at=at)


def _settle(reservation: HeldReservation, *, over: bool, at: datetime) -> None:
    """Settle in one statement, in any state."""
    now, pk = connection.ops.adapt_datetimefield_value(at), uuids.to_db(connection, reservation.id)
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(
            _SETTLE_SQL.format(over=connection.ops.quote_name("over")),
            [now, over, True, now, reservation.account.id, pk],
        )


def _exceeds_hold(reservation: HeldReservation, used: Sequence[Quantity], at: datetime) -> bool:
    """Whether the usage exceeds the hold in any limited meter."""
    held = {row.group: row for row in reservation.held}
    if all(_fits(row, held.get(row.group)) for row in sum_by_group(used)):
        return False  # fits in every possible meter, so no limit needs to be looked up
    capped = [limit.meter for limit in plans.effective_limits(reservation.account, at) if limit.amount is not None]
    return any(meter.total(used) > meter.total(reservation.held) for meter in capped)


def _fits(used: Quantity, held: Quantity | None) -> bool:
    return (
        held is not None
        and used.calls <= held.calls
        and used.tokens <= held.tokens
        and used.cost_nano <= held.cost_nano
    )
