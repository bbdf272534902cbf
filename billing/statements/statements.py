"""Statements: what an account owes for a usage period, frozen when the period is closed, and its payment.

Sources: subscription events (fees), rollups (usage, overage) and late adjustments (corrections). A period without usage,
fees and corrections is closed without a statement. Statements store the texts of their lines, and `verify_ledger` compares
them with newly built ones: never change the wording of a line.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, Sum

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, Per, Statement, Subscription, SubscriptionEvent, UsageAdjustment
from billing.plans import plans, proration, subscriptions
from billing.plans.meters import MONTHLY_COST
from billing.plans.plans import Plan
from billing.reports import reports
from billing.reports.reports import UsageCell
from lib import money, periods, retry
from providers import rulebook

CLOSE_MARGIN = timedelta(hours=1)  # after the grace; longer than any transaction that still records usage of the period
MICROSECOND = timedelta(microseconds=1)
PAGE_SIZE = 500  # accounts
StatementState = Statement.State
FIGURE_COLUMNS = ("calls", "tokens_total", "usage_nano", "fee_nano", "overage_nano", "adjustments_nano", "total_nano")


@dataclass(frozen=True, slots=True)
class StatementLine:
    """An amount due, or a credit if negative, in nano-USD, for a `period`."""

    kind: str  # fee | overage | correction | carried
    text: str
    period: str
    nano: int


def close_due(at: datetime) -> int:
    """Close every usage period whose grace is over, account by account, oldest first. Return the number closed.

    Each period is one transaction, so a killed run continues where it stopped, and concurrent runs are safe.
    """
    closed, after = 0, 0
    due = Account.objects.filter(Q(next_close_at=None) | Q(next_close_at__lte=at)).order_by("pk")
    while ids := list(due.filter(pk__gt=after).values_list("pk", flat=True)[:PAGE_SIZE]):
        for account_id in ids:
            while due.filter(pk=account_id).exists():  # another run may have closed it
                closed += retry.on_deadlock(partial(_close_oldest, account_id, at))
        after = ids[-1]
    return closed


def mark_past_due(at: datetime) -> int:
    """Set active subscriptions with an overdue statement to past due. Return their number."""
    overdue = Statement.objects.filter(state=StatementState.OPEN, due_at__lte=at)
    overdue = overdue.filter(account__subscription__status=Subscription.Status.ACTIVE)
    ids = sorted(set(overdue.order_by().values_list("account_id", flat=True)))
    return sum(retry.on_deadlock(partial(_mark_past_due, account_id, at)) for account_id in ids)


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


def _close_oldest(account_id: int, at: datetime) -> bool:
    """Close the account's oldest open period and store its statement in one transaction. Return False if none is due."""
    with subscriptions.locked_account(account_id) as account:
        period = usage_periods.period_from(account.schedule, oldest_open(account))
        due = period.ends_at + timedelta(hours=settings.CLOSE_GRACE_HOURS) + CLOSE_MARGIN
        if at < due:
            Account.objects.filter(pk=account_id).update(next_close_at=due)
            return False
        subscriptions.advance(account, at)
        closed_periods.close(account, period.start, at)
        plan = subscriptions.plan_at(account, period.ends_at)
        allowance_nano = _allowance_nano(account, period, plan)
        statement = build(account, period, plan_id=plan.id or None, allowance_nano=allowance_nano)
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


def build(account: Account, period: Period, *, plan_id: int | None, allowance_nano: int | None) -> Statement:
    """Build the statement of a period from its sources, unsaved. Without an allowance no overage is charged."""
    cells = reports.cells_between(account, period.start, period.end)
    used_nano = sum(cell.cost_nano for cell in cells)
    groups = {
        "fee": _fee_lines(account, period),
        "overage": _overage_lines(period, used_nano, allowance_nano),
        "adjustments": [*_correction_lines(account, period), *_carried_lines(account, period)],
    }
    lines = [line for group in groups.values() for line in group]
    total = sum(line.nano for line in lines)
    sums = {f"{name}_nano": sum(line.nano for line in group) for name, group in groups.items()}
    return Statement(
        account=account,
        period=period.start,
        period_end=period.end,
        plan_id=plan_id,
        calls=sum(cell.calls for cell in cells),
        tokens_total=sum(cell.tokens for cell in cells),
        usage_nano=used_nano,
        allowance_nano=allowance_nano,
        **sums,
        total_nano=total,
        total_cents=money.divide_half_even(total, money.CENT),
        lines=_with_cents([asdict(line) for line in lines]),
        usage=_with_cents(_usage_by_provider(cells)),
    )


def _with_cents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
        {"provider": slug, "label": rules.label(slug), "calls": calls, "tokens": tokens, "nano": nano}
        for slug, (calls, tokens, nano) in by_cost
    ]


def _fee_lines(account: Account, period: Period) -> list[StatementLine]:
    events = SubscriptionEvent.objects.filter(account_id=account.pk, billed_in=period.start).order_by("id")
    return [
        StatementLine("fee", part["text"], period.name, part["nano"]) for event in events for part in event.fee_lines
    ]


def _overage_lines(period: Period, used_nano: int, allowance_nano: int | None) -> list[StatementLine]:
    nano = _overage_nano(used_nano, allowance_nano)
    if not nano or allowance_nano is None:
        return []
    text = f"Usage of {money.format_usd(used_nano)}, of which the plan includes {money.format_usd(allowance_nano)}"
    return [StatementLine("overage", text, period.name, nano)]


def _overage_nano(used_nano: int, allowance_nano: int | None) -> int:
    return 0 if allowance_nano is None else max(used_nano - allowance_nano, 0)


def _correction_lines(account: Account, period: Period) -> list[StatementLine]:
    """One line for each closed period that was corrected in this one, with the change of that period's overage.

    Correcting usage that the plan included changes no overage: the line has amount 0, and its text the change at cost.
    """
    late = UsageAdjustment.objects.filter(account_id=account.pk, late_at__isnull=False, period__lte=period.start)
    now, before = Q(period=period.start), Q(period__lt=period.start)
    rows = late.order_by().values("corrects_period")
    sums = rows.annotate(
        count=Count("id", filter=now), now=Sum("delta_nano", filter=now), before=Sum("delta_nano", filter=before)
    )
    corrected = {row["corrects_period"]: row for row in sums if row["count"]}
    statements = Statement.objects.filter(account_id=account.pk, period__in=corrected).order_by()
    stated = {statement.period: (statement.usage_nano, statement.allowance_nano) for statement in statements}
    return [
        _correction_line(start, row["count"], int(row["now"]), int(row["before"] or 0), *stated.get(start, (0, None)))
        for start, row in sorted(corrected.items())
    ]


def _correction_line(
    start: date, count: int, now_nano: int, before_nano: int, used_nano: int, allowance_nano: int | None
) -> StatementLine:
    """`now_nano` and `before_nano` are the late corrections in this statement's period and in earlier ones."""
    before, after = used_nano + before_nano, used_nano + before_nano + now_nano
    nano = _overage_nano(after, allowance_nano) - _overage_nano(before, allowance_nano)
    what = "1 late correction" if count == 1 else f"{count} late corrections"
    text = f"{what} of {start:%Y-%m}: {money.format_usd(now_nano)} at cost" + ("" if nano else ", of included usage")
    return StatementLine("correction", text, f"{start:%Y-%m}", nano)


def _carried_lines(account: Account, period: Period) -> list[StatementLine]:
    """The credit of the previous statement, if its total was negative."""
    previous = Statement.objects.filter(account_id=account.pk, period__lt=period.start).order_by("-period").first()
    if previous is None or previous.total_cents >= 0:
        return []
    return [StatementLine("carried", f"Credit of {previous}", str(previous), previous.total_cents * money.CENT)]


def _allowance_nano(account: Account, period: Period, plan: Plan) -> int | None:
    """The monthly cost that the plan includes: the amount of a soft limit; None for a hard limit, which has no overage."""
    for limit in plans.effective_limits(account, period.ends_at - MICROSECOND, plan=plan):
        if limit.key == (MONTHLY_COST, Per.PERIOD):
            return None if limit.hard else limit.amount
    return None
