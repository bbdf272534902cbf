"""Checks of reservations and their holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from billing.models import Account, Meter, UsageHold, UsageReservation
from billing.plans.meters import QUANTITY_COLUMN
from billing.verification import scans
from billing.verification.differences import CheckedPart, CheckedRow, Comparison, compare
from billing.verification.scans import AccountRange
from lib import ids, money, periods

RESERVATIONS, HOLDS = UsageReservation._meta.db_table, UsageHold._meta.db_table
State = UsageReservation.State
PAGE_SIZE = 1_000  # reservations
AMOUNTS = {"calls": "calls", "tokens": "tokens", "cost": "cost_nano"}  # unit of a meter -> column of a hold

next_reservations = scans.id_pages(UsageReservation.objects.all(), size=PAGE_SIZE)


def compare_reservations(page: Sequence[UsageReservation]) -> CheckedPart:
    """The key, times and period of each reservation; its holds, against what the grant says was requested."""
    accounts = Account.objects.in_bulk({row.account_id for row in page})
    units = dict(Meter.objects.values_list("slug", "unit"))
    holds: dict[UUID, list[UsageHold]] = {row.id: [] for row in page}
    for hold in scans.find_pairs(UsageHold.objects.all(), "reservation_id", ((row.account_id, row.id) for row in page)):
        holds[hold.reservation_id].append(hold)
    return compare(_reservation_row(row, accounts.get(row.account_id), holds[row.id], units) for row in page)


def _reservation_row(
    row: UsageReservation, account: Account | None, holds: Sequence[UsageHold], units: dict[str, str]
) -> CheckedRow:
    pairs = dict(_state_pairs(row))
    pairs["account_id"] = (row.account_id, account.pk if account else None)
    pairs["reservation_key"] = (row.reservation_key, ids.lookup_key(row.reservation_id))
    if account and periods.is_known(account.schedule):
        day = periods.local_day(account.schedule, row.created_at)
        pairs["period"] = (row.period, periods.period_start(account.schedule, day))
    pairs["holds"] = (bool(holds), True)
    requested = _requested(row.grant, units)
    for unit, amount in requested.items():
        column = AMOUNTS[unit]
        pairs[f"holds.{column}"] = (sum(getattr(hold, column) for hold in holds), amount)
    return CheckedRow(RESERVATIONS, (row.id,), pairs, complete=len(requested) == len(AMOUNTS))


def _state_pairs(row: UsageReservation) -> Iterator[tuple[str, tuple[object, object]]]:
    """When a reservation in each state was decided. Usage that settles a released one leaves it released, with `over` set."""
    yield "expires_at", (row.expires_at, max(row.expires_at, row.created_at))
    if row.state == State.HELD:
        yield "decided_at", (row.decided_at, None)
    elif row.decided_at is None:
        yield "decided_at", (None, row.expires_at)
    elif row.state == State.RELEASED:
        yield "decided_at", (row.decided_at, min(max(row.decided_at, row.created_at), row.expires_at))
    elif row.state == State.EXPIRED:
        yield "decided_at", (row.decided_at, max(row.decided_at, row.expires_at))
    else:
        yield "decided_at", (row.decided_at, max(row.decided_at, row.created_at))
        if row.decided_at >= row.expires_at:
            yield "over", (row.over, True)
    if row.state in (State.HELD, State.EXPIRED):
        yield "over", (row.over, False)


def _requested(grant: dict[str, Any], units: dict[str, str]) -> dict[str, int]:
    """The requested amount by unit, for the units in which a meter counts every operation of the grant."""
    amounts: dict[str, int] = {}
    for unit in QUANTITY_COLUMN:
        by_operation = [_amount(operation["meters"], unit, units) for operation in grant["operations"]]
        known = [amount for amount in by_operation if amount is not None]
        if len(known) == len(by_operation):
            amounts[unit] = sum(known)
    return amounts


def _amount(meters: Iterable[dict[str, Any]], unit: str, units: dict[str, str]) -> int | None:
    for meter in meters:
        if units.get(meter["meter"]) == unit:
            requested = meter["requested"]
            return money.nano_from_usd(Decimal(requested)) if unit == "cost" else int(requested)
    return None


def compare_holds(accounts: AccountRange) -> CheckedPart:
    """Each hold belongs to a reservation."""
    comparison, holds = Comparison(), UsageHold.objects.filter(accounts.where())
    reservation = UsageReservation.objects.filter(account_id=OuterRef("account_id"), pk=OuterRef("reservation_id"))
    comparison.rows = holds.count()
    orphans = holds.exclude(Exists(reservation)).order_by().values_list("account_id", "reservation_id").distinct()
    for account_id, reservation_id in orphans:
        comparison.note(HOLDS, (account_id, reservation_id), {"reservation_id": (reservation_id, None)})
    return comparison.as_part()
