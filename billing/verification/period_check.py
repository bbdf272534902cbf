"""Checks of accounts, their closed periods, and the statements that must exist or must not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from django.conf import settings

from billing.accounts import usage_periods
from billing.models import (
    Account,
    Archive,
    ClosedPeriod,
    Statement,
    SubscriptionEvent,
    UsageAdjustment,
    UsageModel,
)
from billing.statements.statements import CLOSE_MARGIN
from billing.verification.differences import CheckedPart, CheckedRow, Comparison, compare
from billing.verification.scans import AccountRange
from lib import ids, periods

ACCOUNTS, CLOSED, STATEMENTS = Account._meta.db_table, ClosedPeriod._meta.db_table, Statement._meta.db_table
MAX_MISSING = 1_200  # periods per account: a hundred years
MAX_GRACE = timedelta(days=31)  # an earlier value of the setting may have been used

Closings = dict[date, datetime]  # start of a closed period -> when it was closed


def compare_accounts(accounts: AccountRange) -> CheckedPart:
    """The key of each account, and what it says of its archive and of its closed periods."""
    closed = _closings(accounts)
    archived = set(Archive.objects.filter(accounts.where()).values_list("account", flat=True))
    return compare(
        _account_row(row, closed.get(row.pk, {}), has_archive=row.pk in archived) for row in accounts.accounts()
    )


def _account_row(account: Account, closed: Closings, *, has_archive: bool) -> CheckedRow:
    schedule = account.schedule
    last = max(closed, default=None)
    start = periods.next_period_start(schedule, last) if last else periods.period_start(schedule, account.billed_from)
    pairs: dict[str, tuple[object, object]] = {
        "external_key": (account.external_key, ids.lookup_key(account.external_id)),
        "has_archive": (account.has_archive, has_archive),
        "timezone": (account.timezone, account.timezone if periods.is_known(schedule) else "known to this host"),
    }
    if account.closed_before is not None:
        pairs["closed_before"] = (account.closed_before, start if last else None)
    if account.next_close_at is not None and periods.is_known(schedule):
        ends_at = usage_periods.period_from(schedule, start).ends_at
        due = ends_at + timedelta(hours=settings.CLOSE_GRACE_HOURS) + CLOSE_MARGIN
        if account.next_close_at > max(due, ends_at + CLOSE_MARGIN + MAX_GRACE):
            pairs["next_close_at"] = (account.next_close_at, due)
    return CheckedRow(ACCOUNTS, (account.pk,), pairs, complete=not (last and account.closed_before is None))


def _closings(accounts: AccountRange) -> dict[int, Closings]:
    closed: dict[int, Closings] = {}
    rows = ClosedPeriod.objects.filter(accounts.where()).values_list("account_id", "period", "closed_at")
    for account_id, period, closed_at in rows:
        closed.setdefault(account_id, {})[period] = closed_at
    return closed


def compare_closed_periods(accounts: AccountRange) -> CheckedPart:
    """The closed periods of each account, against the sequence of its periods from `billed_from` on, and their ends."""
    closed, comparison = _closings(accounts), Comparison()
    for account in accounts.accounts():
        for row in _closed_rows(account, closed.pop(account.pk, {})):
            comparison.add(row)
    for account_id, closings in closed.items():  # of accounts that do not exist
        for period in closings:
            comparison.add(CheckedRow(CLOSED, (account_id, period), {"closed": (True, False)}))
    return comparison.as_part()


def _closed_rows(account: Account, closed: Closings) -> Iterator[CheckedRow]:
    schedule, rest = account.schedule, dict(closed)
    start = periods.period_start(schedule, account.billed_from)
    for _ in range(len(closed) + MAX_MISSING):
        if not rest or start > max(rest):
            break
        closed_at = rest.pop(start, None)
        pairs: dict[str, tuple[object, object]] = {"closed": (closed_at is not None, True)}
        if closed_at is not None and periods.is_known(schedule):
            earliest = usage_periods.period_from(schedule, start).ends_at + CLOSE_MARGIN
            pairs["closed_at"] = (closed_at, max(closed_at, earliest))
        yield CheckedRow(CLOSED, (account.pk, start), pairs)
        start = periods.next_period_start(schedule, start)
    for period in sorted(rest):
        yield CheckedRow(CLOSED, (account.pk, period), {"closed": (True, False)})


def compare_existence(accounts: AccountRange) -> CheckedPart:
    """Each closed period with calls, fees or late corrections has a statement; no other period has any."""
    closed, where = _closings(accounts), accounts.where()
    stated = Statement.objects.filter(where).order_by("account_id", "period")
    totals = {(row[0], row[1]): row[2] for row in stated.values_list("account_id", "period", "total_cents")}
    needed = _needing_statements(accounts) | _carrying_credit(totals, closed)
    keys = {(account_id, period) for account_id, closings in closed.items() for period in closings} | totals.keys()
    rows = ((key, key[1] in closed.get(key[0], {})) for key in sorted(keys))
    return compare(
        CheckedRow(STATEMENTS, key, {"exists": (key in totals, is_closed and (key in needed or key in totals))})
        for key, is_closed in rows
    )


def _needing_statements(accounts: AccountRange) -> set[tuple[int, date]]:
    """The (account, period) with calls, fee lines or late corrections, closed or not."""
    where = accounts.where()
    used = UsageModel.objects.filter(where, calls__gt=0).order_by().values_list("account_id", "period").distinct()
    fees = SubscriptionEvent.objects.filter(where).order_by().values_list("account_id", "billed_in", "fee_lines")
    late = UsageAdjustment.objects.filter(where, late_at__isnull=False).order_by()
    charged = {(account_id, period) for account_id, period, lines in fees if lines}
    return {*used, *charged, *late.values_list("account_id", "period").distinct()}


def _carrying_credit(totals: dict[tuple[int, date], int], closed: dict[int, Closings]) -> set[tuple[int, date]]:
    """The first closed period after each statement with a credit."""
    credited = [key for key, cents in totals.items() if cents < 0]
    later = (
        (account_id, min((start for start in closed.get(account_id, {}) if start > period), default=None))
        for account_id, period in credited
    )
    return {(account_id, start) for account_id, start in later if start is not None}
