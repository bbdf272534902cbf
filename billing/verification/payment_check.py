"""Checks of the figures and payment columns of statements by themselves: sums, cents, dates and state."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum

from billing.models import ClosedPeriod, Statement, SubscriptionEvent
from billing.verification.differences import CheckedPart, CheckedRow, compare
from billing.verification.scans import AccountRange
from lib import money, periods

STATEMENTS = Statement._meta.db_table
State = Statement.State
DAY = timedelta(days=1)
Key = tuple[int, date]  # account, period
Pairs = dict[str, tuple[object, object]]


def compare_statements(accounts: AccountRange) -> CheckedPart:
    """The sums, cents, dates and payment of each statement, and its fee against the subscription's events."""
    closed = ClosedPeriod.objects.filter(accounts.where()).values_list("account_id", "period", "closed_at")
    closed_at = {(account_id, period): at for account_id, period, at in closed}
    events = SubscriptionEvent.objects.filter(accounts.where()).order_by().values_list("account_id", "billed_in")
    fees = {(account_id, period): int(nano) for account_id, period, nano in events.annotate(nano=Sum("fee_nano"))}
    statements = Statement.objects.filter(accounts.where()).select_related("account").order_by("account_id", "period")
    return compare(_statement_row(row, closed_at, fees) for row in statements)


def _statement_row(row: Statement, closed_at: dict[Key, datetime], fees: dict[Key, int]) -> CheckedRow:
    key = (row.account_id, row.period)
    end = periods.next_period_start(row.account.schedule, row.period)
    pairs: Pairs = {
        "period_end": (row.period_end, end),
        "closed_at": (row.closed_at, closed_at.get(key, row.closed_at)),
        "fee_nano": (row.fee_nano, fees.get(key, 0)),
        **_sum_pairs(row),
        **_payment_pairs(row),
    }
    return CheckedRow(STATEMENTS, key, pairs)


def _sum_pairs(row: Statement) -> Pairs:
    return {
        "total_nano": (row.total_nano, row.fee_nano + row.overage_nano + row.adjustments_nano),
        "lines.nano": (_sum(row.lines, "nano"), row.total_nano),
        "lines.cents": (_sum(row.lines, "cents"), row.total_cents),
        "total_cents": (row.total_cents, money.divide_half_even(row.total_nano, money.CENT)),
        "usage.calls": (_sum(row.usage, "calls"), row.calls),
        "usage.tokens": (_sum(row.usage, "tokens"), row.tokens_total),
        "usage.nano": (_sum(row.usage, "nano"), row.usage_nano),
    }


def _sum(lines: Iterable[dict[str, Any]], name: str) -> int:
    return sum(line.get(name, 0) for line in lines)


def _payment_pairs(row: Statement) -> Pairs:
    """A statement is open or paid exactly if something is due, and only a paid one says when and by whom."""
    due, paid = row.total_cents > 0, row.state == State.PAID
    expected = (State.PAID if paid else State.OPEN) if due else State.NOTHING_DUE
    pairs: Pairs = {
        "state": (row.state, expected.value),
        "due_at": (row.due_at, _expected_due_at(row) if due else None),
        "paid_at": (row.paid_at, _expected_paid_at(row) if paid else None),
    }
    if not paid:
        pairs["paid_by"] = (row.paid_by, "")
        pairs["payment_note"] = (row.payment_note, "")
    return pairs


def _expected_due_at(row: Statement) -> datetime:
    """Whole days after closing; how many, the setting of that time says."""
    days = (row.due_at - row.closed_at) if row.due_at else timedelta(0)
    return row.due_at if row.due_at and days >= timedelta(0) and not days % DAY else row.closed_at


def _expected_paid_at(row: Statement) -> datetime:
    return max(row.paid_at or row.closed_at, row.closed_at)
