"""Decides whether an account's calls may run, and reports the status of its limits.

Usage from `usage_days` and live holds are read in one statement: between two statements, a settle could hide a hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from billing.errors import Refused
from billing.ledger.quantities import Quantity
from billing.limits import decisions, operations
from billing.limits.decisions import CurrentUsage, Decision, LimitStatus, OpenWindow, RequestedUsage
from billing.limits.operations import Operation
from billing.models import Account, Per, UsageReservation
from billing.models.rollups import MAX_NANO, MAX_PERIOD_NANO
from billing.plans import plans
from billing.plans.meters import MONTHLY_COST
from lib import exact_sum, periods, postgres

ONE_DAY = timedelta(days=1)
PERIOD_MAXIMUM_DETAIL = "The account's usage period would cost more than 100,000,000 USD, the maximum."

_USAGE_SQL = """
SELECT 'usage', declared, actual, category, SUM(billable_calls), SUM(tokens_total), {cost},
       SUM(CASE WHEN day = %s THEN billable_calls ELSE 0 END),
       SUM(CASE WHEN day = %s THEN tokens_total ELSE 0 END),
       {cost_of_day}
FROM usage_days WHERE account_id = %s AND day >= %s AND day < %s GROUP BY declared, actual, category"""
_HELD_SQL = """
SELECT 'held', hold.declared, hold.actual, hold.category, SUM(hold.calls), SUM(hold.tokens), SUM(hold.cost_nano), 0, 0, 0
FROM usage_reservations reservation
JOIN usage_holds hold ON hold.account_id = reservation.account_id AND hold.reservation_id = reservation.id
WHERE reservation.account_id = %s AND reservation.state = 'held' AND reservation.expires_at > %s
GROUP BY hold.declared, hold.actual, hold.category"""
_PLANS_SQL = "SELECT 'plans', '', '', '', version, 0, 0, 0, 0, 0 FROM book_versions WHERE book = 'plans'"
_RESERVATION_SQL = """
SELECT 'reservation', '', '', '', 1, 0, 0, 0, 0, 0 FROM usage_reservations WHERE account_id = %s AND reservation_key = %s"""


class LimitInputs(NamedTuple):
    """What a decision needs from the database, read in one statement."""

    usage: CurrentUsage
    plans_version: int
    reservation_exists: bool


def preflight(account: Account, calls: Sequence[Operation], at: datetime) -> Decision:
    """Decide whether the calls may run together; writes nothing. Raises Refused for an invalid operation."""
    if excess := operations.find_excess_part(calls):
        raise excess
    return decide(account, operations.requested_usage(calls, at), load_inputs(account, at), at)


def decide(account: Account, requests: Sequence[RequestedUsage], inputs: LimitInputs, at: datetime) -> Decision:
    """Apply the account's limits. Raises Refused where a total would be too large."""
    _check_totals(inputs.usage, requests)
    policy = account.unpriced_policy or settings.UNPRICED_POLICY
    return decisions.decide(
        requests,
        limits=plans.effective_limits(account, at, plans.current(inputs.plans_version)),
        usage=inputs.usage,
        window=open_window(account, at),
        inactive=plans.inactive_reason(account, at),
        block_unpriced=policy == Account.UnpricedPolicy.BLOCK,
    )


def statuses(account: Account, at: datetime) -> list[LimitStatus]:
    """The status of each of the account's limits, in order."""
    inputs, window = load_inputs(account, at), open_window(account, at)
    limits = plans.effective_limits(account, at, plans.current(inputs.plans_version))
    return [decisions.limit_status(limit, inputs.usage, window) for limit in limits]


def budget(statuses: Sequence[LimitStatus]) -> tuple[int | None, int]:
    """The monthly cost limit and the amount reserved under it, in nano-USD."""
    for status in statuses:
        if status.limit.key == (MONTHLY_COST, Per.PERIOD):
            return status.limit.amount, status.reserved
    return None, 0


def open_window(account: Account, at: datetime) -> OpenWindow:
    """The usage period and the local day that contain `at`."""
    schedule = account.schedule
    today = periods.local_day(schedule, at)
    start = periods.period_start(schedule, today)
    end = periods.next_period_start(schedule, start)
    return OpenWindow(
        start, end, today, periods.first_instant(schedule, end), periods.first_instant(schedule, today + ONE_DAY)
    )


def load_inputs(account: Account, at: datetime, *, reservation_key: UUID | None = None) -> LimitInputs:
    """Usage of the open period, and all live holds, including those made in an earlier period."""
    rows = _rows(account, open_window(account, at), at, reservation_key)
    usage_rows = [row for row in rows if row[0] == "usage"]
    return LimitInputs(
        CurrentUsage(
            period=[_quantity(row, 4) for row in usage_rows],
            day=[_quantity(row, 7) for row in usage_rows],
            held=[_quantity(row, 4) for row in rows if row[0] == "held"],
        ),
        plans_version=next((int(row[4]) for row in rows if row[0] == "plans"), 0),
        reservation_exists=any(row[0] == "reservation" for row in rows),
    )


def _rows(account: Account, window: OpenWindow, at: datetime, reservation_key: UUID | None) -> list[tuple[Any, ...]]:
    start, end, today = (connection.ops.adapt_datefield_value(day) for day in window[:3])
    cost_of_day = exact_sum.sum_sql(connection, "CASE WHEN day = %s THEN cost_nano ELSE 0 END")
    usage_sql = _USAGE_SQL.format(cost=exact_sum.sum_sql(connection, "cost_nano"), cost_of_day=cost_of_day)
    selects = [usage_sql, _HELD_SQL, _PLANS_SQL]
    days = [today] * usage_sql.count("day = %s")
    values = [*days, account.pk, start, end, account.pk, connection.ops.adapt_datetimefield_value(at)]
    if reservation_key is not None:
        field = UsageReservation._meta.get_field("reservation_key")
        selects.append(_RESERVATION_SQL)
        values += [account.pk, field.get_db_prep_value(reservation_key, connection)]
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(" UNION ALL ".join(selects), values)
        return list(cursor.fetchall())


def _quantity(row: Sequence[Any], start: int) -> Quantity:
    calls, tokens, cost = row[start : start + 3]
    return Quantity(row[1], row[2], row[3], int(calls), int(tokens), exact_sum.to_int(cost) or 0)


def _check_totals(usage: CurrentUsage, requests: Sequence[RequestedUsage]) -> None:
    """Refuse what recording would refuse, and sums beyond 64 bits."""
    requested = [request.quantity for request in requests]
    if sum(row.cost_nano for row in (*usage.period, *usage.held, *requested)) > MAX_PERIOD_NANO:
        raise Refused("max_value", PERIOD_MAXIMUM_DETAIL, "operations")
    if any(sum(getattr(row, name) for row in (*usage.held, *requested)) > MAX_NANO for name in ("calls", "tokens")):
        raise Refused("max_value", "The reserved total would be too large to count.", "operations")
