"""Keeps the cost of an account's usage period within MAX_PERIOD_NANO, so that no sum over it exceeds 64 bits.

Transactions that run at the same time do not see each other and may together exceed it, by far less than 64 bits hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection
from django.db.models import Q

from billing.ledger import ledger
from billing.ledger.ledger import NewLog
from billing.models import UsageModel
from billing.models.rollups import MAX_PERIOD_NANO
from lib import money, postgres
from lib.exact_sum import ExactSum
from lib.postgres import BinaryArray

MIN_CHECKED_NANO = money.NANO  # smaller additions would exceed 64 bits only after 8,900,000,000 transactions
PERIODS_PER_QUERY = 200

AccountPeriod = tuple[int, date]

_RECORDED_SQL = """
SELECT model.account_id, model.period, SUM(model.cost_nano)
FROM unnest(%s::bigint[], %s::date[]) AS request (account, period)
JOIN usage_models model ON model.account_id = request.account AND model.period = request.period
GROUP BY model.account_id, model.period"""


def find_exceeding(logs: Sequence[NewLog], archives: Collection[int]) -> set[bytes]:
    """Ids of the logs that would bring their account's period above the maximum, taken in order.

    An event that is stored already adds nothing.
    """
    additions: Counter[AccountPeriod] = Counter()
    for log in logs:
        if log.cost_total:
            additions[log.account_id, log.usage_period] += log.cost_total
    checked = [period for period, nano in additions.items() if nano >= MIN_CHECKED_NANO]
    if not checked:
        return set()
    totals = _recorded(checked)
    full = {period for period in checked if totals[period] + additions[period] > MAX_PERIOD_NANO}
    return _exceeding([log for log in logs if (log.account_id, log.usage_period) in full], totals, archives)


def _exceeding(logs: Sequence[NewLog], totals: Counter[AccountPeriod], archives: Collection[int]) -> set[bytes]:
    added, exceeding = set(ledger.find_stored(map(ledger.key_of, logs), archives)), set()
    for log in logs:
        key, period = ledger.key_of(log), (log.account_id, log.usage_period)
        if key in added:
            continue
        if totals[period] + log.cost_total > MAX_PERIOD_NANO:
            exceeding.add(log.id)
        else:
            added.add(key)
            totals[period] += log.cost_total
    return exceeding


def _recorded(account_periods: Sequence[AccountPeriod]) -> Counter[AccountPeriod]:
    """The recorded cost of these periods in nano-USD."""
    use_arrays = connection.vendor == "postgresql"
    rows = _select_by_arrays(account_periods) if use_arrays else _select_by_pairs(account_periods)
    return Counter({(account_id, period): int(nano) for account_id, period, nano in rows})


def _select_by_arrays(account_periods: Sequence[AccountPeriod]) -> list[Any]:
    columns: list[Any] = [BinaryArray(column) for column in zip(*account_periods, strict=True)]
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(_RECORDED_SQL, columns)
        return list(cursor.fetchall())


def _select_by_pairs(account_periods: Sequence[AccountPeriod]) -> Iterator[Any]:
    conditions = [Q(account_id=account_id, period=period) for account_id, period in account_periods]
    for start in range(0, len(conditions), PERIODS_PER_QUERY):
        rows = UsageModel.objects.filter(reduce(or_, conditions[start : start + PERIODS_PER_QUERY])).order_by()
        yield from rows.values_list("account_id", "period").annotate(nano=ExactSum("cost_nano"))
