"""Statements: what an account owes for a usage period, frozen when the period is closed, and its payment.

Sources: subscription events (fees), rollups and logs (usage, overage) and late adjustments (corrections). A period without
usage, fees and corrections is closed without a statement. `Statement.rules` is the version of the rules that it was made by:
1 charges overage by the allowance at the end of the period, 2 by segments (see segments.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import Max, Q

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, Statement, Subscription
from billing.plans import proration, subscriptions
from billing.reports import reports
from billing.reports.reports import UsageCell
from billing.statements import dated_terms, segments, statement_lines
from billing.statements.segments import Segment
from lib import isolation, keyset, money, periods, retry
from providers import rulebook

CLOSE_MARGIN = timedelta(hours=1)  # after the grace; longer than any transaction that still records usage of the period
RULES = 2  # of new statements
PAGE_SIZE = 500  # accounts
StatementState = Statement.State
FIGURE_COLUMNS = ("calls", "tokens_total", "usage_nano", "fee_nano", "overage_nano", "adjustments_nano", "total_nano")


def close_due(at: datetime, problems: list[str] | None = None) -> int:
    """Close every usage period whose grace is over, account by account, oldest first. Return the number closed.

    Each period is one transaction, so a killed run continues where it stopped, and concurrent runs are safe. An account that
    fails does not stop the others: it is added to `problems`; without that list, raises ProblemFound in the end.
    """
    closed = 0
    due = Account.objects.filter(Q(next_close_at=None) | Q(next_close_at__lte=at)).values_list("pk", "external_id")
    with isolation.collect(problems) as failed:
        for account_id, name in chain.from_iterable(keyset.iter_pages(due, size=PAGE_SIZE)):
            closed += isolation.attempt(partial(_close_account, account_id, at), name=name, problems=failed) or 0
    return closed


def mark_past_due(at: datetime, problems: list[str] | None = None) -> int:
    """Set active subscriptions with an overdue statement to past due. Return their number. Problems as in `close_due`."""
    overdue = Statement.objects.filter(state=StatementState.OPEN, due_at__lte=at)
    overdue = overdue.filter(account__subscription__status=Subscription.Status.ACTIVE)
    names = dict(overdue.order_by().values_list("account_id", "account__external_id"))
    marked = 0
    with isolation.collect(problems) as failed:
        for account_id, name in sorted(names.items()):
            mark = partial(_mark_past_due, account_id, at)
            marked += isolation.attempt(mark, name=name, problems=failed) or 0
    return marked


@retry.atomic
def _mark_past_due(account_id: int, at: datetime) -> bool:
    with subscriptions.locked_account(account_id) as account:
        owes = Statement.objects.filter(account=account, state=StatementState.OPEN, due_at__lte=at).exists()
        if owes:  # it may have been paid in the meantime
            subscriptions.mark_past_due(account, at)
        return owes


@retry.atomic
def mark_paid(statement: Statement, *, actor: str, note: str, at: datetime) -> bool:
    """Mark a statement as paid and reactivate a subscription suspended for it. Return False if it was not open."""
    with subscriptions.locked_account(statement.account_id) as account:
        open_ = Statement.objects.filter(account=account, state=StatementState.OPEN)
        paid = open_.filter(pk=statement.pk).update(
            state=StatementState.PAID, paid_at=at, paid_by=actor, payment_note=note
        )
        if paid and not open_.filter(due_at__lte=at).exists():
            subscriptions.reinstate(account, actor=actor, at=at)
        return bool(paid)


def _close_account(account_id: int, at: datetime) -> int:
    """Close the account's due periods, one transaction each. Return the number closed."""
    closed = 0
    while _close_oldest(account_id, at):
        closed += 1
    return closed


@retry.atomic
def _close_oldest(account_id: int, at: datetime) -> bool:
    """Close the account's oldest open period and store its statement in one transaction. Return False if none is due.

    The account's lock keeps plan, overrides and corrections as they are until the commit, so the segments are exact.
    """
    with subscriptions.locked_account(account_id) as account:
        period = usage_periods.period_from(account.schedule, oldest_open(account))
        due = period.ends_at + timedelta(hours=settings.CLOSE_GRACE_HOURS) + CLOSE_MARGIN
        if at < due:
            Account.objects.filter(pk=account_id).update(next_close_at=due)
            return False
        subscriptions.advance(account, at)
        closed_periods.close(account, period.start, at)
        parts = segments.derive(account, period, dated_terms.in_period(account, period))
        statement = build(account, period, parts, rules=RULES)
        if statement.calls or statement.lines:
            _issue(statement, at)
        return True


def oldest_open(account: Account) -> date:
    """The start of the account's oldest unclosed period; usage before `billed_from` is never billed."""
    last = ClosedPeriod.objects.filter(account_id=account.pk).aggregate(last=Max("period"))["last"]
    if last is None:
        return periods.period_start(account.schedule, account.billed_from)
    return periods.next_period_start(account.schedule, last)


def _issue(statement: Statement, at: datetime) -> None:
    statement.closed_at, statement.state = at, StatementState.NOTHING_DUE
    if statement.total_cents > 0:
        statement.state, statement.due_at = StatementState.OPEN, at + timedelta(days=settings.STATEMENT_DUE_DAYS)
    statement.save(force_insert=True)


def build(account: Account, period: Period, parts: Sequence[Segment], *, rules: int) -> Statement:
    """Build the statement of a period with these segments from its sources, unsaved."""
    cells = reports.cells_between(account, period.start, period.end)
    groups = {
        "fee": statement_lines.fee_lines(account, period),
        "overage": statement_lines.overage_lines(period, parts),
        "adjustments": [
            *statement_lines.correction_lines(account, period),
            *statement_lines.carried_lines(account, period),
        ],
    }
    lines = [line for group in groups.values() for line in group]
    total = sum(line.nano for line in lines)
    sums = {f"{name}_nano": sum(line.nano for line in group) for name, group in groups.items()}
    return Statement(
        account=account,
        period=period.start,
        period_end=period.end,
        plan_id=parts[-1].plan,
        calls=sum(cell.calls for cell in cells),
        tokens_total=sum(cell.tokens for cell in cells),
        usage_nano=sum(cell.cost_nano for cell in cells),
        allowance_nano=parts[-1].allowance_nano,
        rules=rules,
        segments=None if rules == 1 else [part.as_json() for part in parts],
        **sums,
        total_nano=total,
        total_cents=money.divide_half_even(total, money.CENT),
        lines=with_cents([asdict(line) for line in lines]),
        usage=with_cents(_usage_by_provider(cells)),
    )


def with_cents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their share of the rounded total in cents."""
    amounts = [row["nano"] for row in rows]
    cents = proration.apportion_cents(amounts, money.divide_half_even(sum(amounts), money.CENT))
    return [{**row, "cents": part} for row, part in zip(rows, cents, strict=True)]


def _usage_by_provider(cells: list[UsageCell]) -> list[dict[str, Any]]:
    rules, sums = rulebook.current(), dict[str, list[int]]()
    for cell in cells:
        sums.setdefault(cell.provider, [0, 0, 0])
        for index, value in enumerate((cell.calls, cell.tokens, cell.cost_nano)):
            sums[cell.provider][index] += value
    by_cost = sorted(sums.items(), key=lambda item: (-item[1][2], item[0]))
    return [
        {
            "provider": slug,
            "label": rulebook.provider_label(slug, rules.labels),
            "calls": calls,
            "tokens": tokens,
            "nano": nano,
        }
        for slug, (calls, tokens, nano) in by_cost
    ]
