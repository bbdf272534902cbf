"""May these calls run, and where does an account stand? Asked by the API, reservations, calls in process, and pages.

Use is read from `usage_days` and added to the holds that have not expired, in one statement: two would be two moments,
and a settle between them would hide a hold.
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
from billing.limits.decisions import Ask, Decision, LimitStatus, Use, Window
from billing.limits.operations import Operation
from billing.models import Account, Per, UsageReservation
from billing.models.rollups import MOST_NANO
from billing.plans import plans
from billing.plans.meters import MONTHLY_COST
from lib import periods, postgres

ONE_DAY = timedelta(days=1)

_USED = """
SELECT 'used', declared, actual, category, SUM(billable_calls), SUM(tokens_total), SUM(cost_nano),
       SUM(CASE WHEN day = %s THEN billable_calls ELSE 0 END),
       SUM(CASE WHEN day = %s THEN tokens_total ELSE 0 END),
       SUM(CASE WHEN day = %s THEN cost_nano ELSE 0 END)
FROM usage_days WHERE account_id = %s AND day >= %s AND day < %s GROUP BY declared, actual, category"""
_HELD = """
SELECT 'held', hold.declared, hold.actual, hold.category, SUM(hold.calls), SUM(hold.tokens), SUM(hold.cost_nano), 0, 0, 0
FROM usage_reservations room
JOIN usage_holds hold ON hold.account_id = room.account_id AND hold.reservation_id = room.id
WHERE room.account_id = %s AND room.state = 'held' AND room.expires_at > %s
GROUP BY hold.declared, hold.actual, hold.category"""
_PLANS = "SELECT 'plans', '', '', '', version, 0, 0, 0, 0, 0 FROM book_versions WHERE book = 'plans'"
_KNOWN = """
SELECT 'known', '', '', '', 1, 0, 0, 0, 0, 0 FROM usage_reservations WHERE account_id = %s AND reservation_key = %s"""


class Moment(NamedTuple):
    """What one statement saw: use and holds, the version of the plans, and whether a reservation's id is known."""

    use: Use
    plans_version: int
    known: bool


def preflight(account: Account, wanted: Sequence[Operation], at: datetime) -> Decision:
    """Would these calls pass, together? Writes nothing. Raises Refused where an operation is not one."""
    return decide(account, operations.asks(wanted, at), read(account, at), at)


def decide(account: Account, asks: Sequence[Ask], moment: Moment, at: datetime) -> Decision:
    """Judge what is asked for against what was read."""
    _check_totals(moment.use, asks)
    policy = account.unpriced_policy or settings.UNPRICED_POLICY
    return decisions.decide(
        asks,
        limits=plans.effective_limits(account, at, plans.current(moment.plans_version)),
        use=moment.use,
        window=window(account, at),
        inactive=plans.inactive(account, at),
        block_unpriced=policy == Account.UnpricedPolicy.BLOCK,
    )


def standing(account: Account, at: datetime) -> list[LimitStatus]:
    """Where the account stands with each of its limits, in their order."""
    moment, open_now = read(account, at), window(account, at)
    limits = plans.effective_limits(account, at, plans.current(moment.plans_version))
    return [decisions.standing(limit, moment.use, open_now) for limit in limits]


def budget(standings: Sequence[LimitStatus]) -> tuple[int | None, int]:
    """The cap on the cost of a period, and what is held under it; nano-USD."""
    for one in standings:
        if one.limit.key == (MONTHLY_COST, Per.PERIOD):
            return one.limit.amount, one.reserved
    return None, 0


def window(account: Account, at: datetime) -> Window:
    """The usage period and the local day that are open `at`."""
    schedule = account.schedule
    today = periods.local_day(schedule, at)
    start = periods.start_of(schedule, today)
    end = periods.next_start(schedule, start)
    return Window(start, end, today, periods.starts_at(schedule, end), periods.starts_at(schedule, today + ONE_DAY))


def read(account: Account, at: datetime, *, reservation_key: UUID | None = None) -> Moment:
    """Use and holds of the open period, in one statement. A hold counts as long as it holds, whenever it was made."""
    rows = _rows(account, window(account, at), at, reservation_key)
    use = [row for row in rows if row[0] == "used"]
    return Moment(
        Use(
            period=[_quantity(row, 4) for row in use],
            day=[_quantity(row, 7) for row in use],
            held=[_quantity(row, 4) for row in rows if row[0] == "held"],
        ),
        plans_version=next((int(row[4]) for row in rows if row[0] == "plans"), 0),
        known=any(row[0] == "known" for row in rows),
    )


def _rows(account: Account, open_now: Window, at: datetime, reservation_key: UUID | None) -> list[tuple[Any, ...]]:
    start, end, today = (connection.ops.adapt_datefield_value(day) for day in open_now[:3])
    parts = [_USED, _HELD, _PLANS]
    values = [today, today, today, account.pk, start, end, account.pk, connection.ops.adapt_datetimefield_value(at)]
    if reservation_key is not None:
        key = UsageReservation._meta.get_field("reservation_key")
        parts.append(_KNOWN)
        values += [account.pk, key.get_db_prep_value(reservation_key, connection)]
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return list(cursor.fetchall())


def _quantity(row: Sequence[Any], start: int) -> Quantity:
    calls, tokens, cost = row[start : start + 3]
    return Quantity(row[1], row[2], row[3], int(calls), int(tokens), int(cost))


def _check_totals(use: Use, asks: Sequence[Ask]) -> None:
    """Sums beyond 64 bits are refused, as they are when usage is recorded."""
    held = sum(row.cost_nano for row in use.held) + sum(ask.quantity.cost_nano for ask in asks)
    if held > MOST_NANO:
        raise Refused("max_value", "More would be held than can be counted.", "operations")
