"""Statements: what an account owes for a usage period, frozen when the period is closed; and whether it was paid.

The close job calls `close_due`, verify_ledger asks `check`, the admin notes payments. A statement is made of
what is recorded: fees of the subscription's events, overage and usage of the rollups, late corrections of the adjustments.
A period without usage, fee and correction is closed without a statement.
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
from billing.reports.reports import Cell
from lib import money, periods, retry
from providers import rulebook

MARGIN = timedelta(hours=1)  # after the grace: no transaction that records usage of the period lasts as long
INSTANT = timedelta(microseconds=1)
PARTS = 500  # accounts, or statements, that are taken at a time
State = Statement.State
FIGURES = ("calls", "tokens_total", "usage_nano", "fee_nano", "overage_nano", "adjustments_nano", "total_nano")


@dataclass(frozen=True, slots=True)
class Line:
    """What is due, or given back, in nano-USD. `period` is the one that it is about."""

    kind: str  # fee | overage | correction | carried
    text: str
    period: str
    nano: int


def close_due(at: datetime) -> int:
    """Close every usage period whose grace is over, account by account, oldest first; how many.

    Each period is one transaction, so a run that is killed goes on where it stopped, and several do no harm.
    """
    closed, after = 0, 0
    due = Account.objects.filter(Q(next_close_at=None) | Q(next_close_at__lte=at)).order_by("pk")
    while ids := list(due.filter(pk__gt=after).values_list("pk", flat=True)[:PARTS]):
        for account_id in ids:
            while due.filter(pk=account_id).exists():  # another runner may have been here
                closed += retry.on_deadlock(partial(_close_oldest, account_id, at))
        after = ids[-1]
    return closed


def fall_due(at: datetime) -> int:
    """Subscriptions with a statement that was not paid in time become past due; how many."""
    late = Statement.objects.filter(state=State.OPEN, due_at__lte=at)
    late = late.filter(account__subscription__status=Subscription.Status.ACTIVE)
    ids = sorted(set(late.order_by().values_list("account_id", flat=True)))
    return sum(retry.on_deadlock(partial(_fall_due, account_id, at)) for account_id in ids)


def _fall_due(account_id: int, at: datetime) -> bool:
    with subscriptions.moving(account_id) as account:
        owes = Statement.objects.filter(account=account, state=State.OPEN, due_at__lte=at).exists()
        if owes:  # nobody has paid meanwhile
            subscriptions.fall_due(account, at)
        return owes


def mark_paid(statement: Statement, *, actor: str, note: str, at: datetime) -> bool:
    """Note that a statement was paid; False where nothing was open. What was suspended for it runs again."""
    with subscriptions.moving(statement.account_id) as account:
        open_ = Statement.objects.filter(account=account, state=State.OPEN)
        paid = open_.filter(pk=statement.pk).update(state=State.PAID, paid_at=at, paid_by=actor, payment_note=note)
        if paid and not open_.filter(due_at__lte=at).exists():
            subscriptions.paid_up(account, actor=actor, at=at)
        return bool(paid)


def _close_oldest(account_id: int, at: datetime) -> bool:
    """Close the account's oldest open period and write its statement, in one transaction; False where none is due."""
    with subscriptions.moving(account_id) as account:
        period = usage_periods.period_from(account.schedule, oldest_open(account))
        due = period.ends_at + timedelta(hours=settings.CLOSE_GRACE_HOURS) + MARGIN
        if at < due:
            Account.objects.filter(pk=account_id).update(next_close_at=due)
            return False
        subscriptions.up_to_date(account, at)
        closed_periods.close(account, period.start, at)
        plan = subscriptions.plan_at(account, period.ends_at)
        one = draw_up(account, period, plan_id=plan.id or None, allowance=_allowance(account, period, plan))
        if one.calls or one.lines:
            _issue(one, at)
        return True


def oldest_open(account: Account) -> date:
    """The start of the account's oldest period that is not closed; what lies before `billed_from` is history."""
    last = ClosedPeriod.objects.filter(account_id=account.pk).aggregate(last=Max("period"))["last"]
    if last is None:
        return periods.start_of(account.schedule, account.billed_from)
    return periods.next_start(account.schedule, last)


def _issue(one: Statement, at: datetime) -> None:
    one.closed_at, one.state = at, State.NOTHING_DUE
    if one.total_cents > 0:
        one.state, one.due_at = State.OPEN, at + timedelta(days=settings.STATEMENT_DUE_DAYS)
    one.save(force_insert=True)


def draw_up(account: Account, period: Period, *, plan_id: int | None, allowance: int | None) -> Statement:
    """The statement of a period as its sources tell it, not stored. `allowance` in nano-USD; None charges no overage."""
    cells = reports.cells_between(account, period.start, period.end)
    used = sum(cell.cost_nano for cell in cells)
    lines = {
        "fee": _fees(account, period),
        "overage": _overage(period, used, allowance),
        "adjustments": [*_corrections(account, period), *_carried(account, period)],
    }
    every = [line for part in lines.values() for line in part]
    total = sum(line.nano for line in every)
    sums = {f"{name}_nano": sum(line.nano for line in part) for name, part in lines.items()}
    return Statement(
        account=account,
        period=period.start,
        period_end=period.end,
        plan_id=plan_id,
        calls=sum(cell.calls for cell in cells),
        tokens_total=sum(cell.tokens for cell in cells),
        usage_nano=used,
        allowance_nano=allowance,
        **sums,
        total_nano=total,
        total_cents=money.half_even(total, money.CENT),
        lines=_in_cents([asdict(line) for line in every]),
        usage=_in_cents(_by_provider(cells)),
    )


def _in_cents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    amounts = [row["nano"] for row in rows]
    cents = proration.apportioned(amounts, money.half_even(sum(amounts), money.CENT))
    return [{**row, "cents": part} for row, part in zip(rows, cents, strict=True)]


def _by_provider(cells: list[Cell]) -> list[dict[str, Any]]:
    book, sums = rulebook.current(), dict[str, list[int]]()
    for cell in cells:
        sums.setdefault(cell.provider, [0, 0, 0])
        for place, value in enumerate((cell.calls, cell.tokens, cell.cost_nano)):
            sums[cell.provider][place] += value
    by_cost = sorted(sums.items(), key=lambda item: (-item[1][2], item[0]))
    return [
        {"provider": slug, "label": book.label(slug), "calls": calls, "tokens": tokens, "nano": nano}
        for slug, (calls, tokens, nano) in by_cost
    ]


def _fees(account: Account, period: Period) -> list[Line]:
    events = SubscriptionEvent.objects.filter(account_id=account.pk, billed_in=period.start).order_by("id")
    return [Line("fee", part["text"], period.name, part["nano"]) for event in events for part in event.fee_lines]


def _overage(period: Period, used: int, allowance: int | None) -> list[Line]:
    nano = _above(used, allowance)
    if not nano or allowance is None:
        return []
    text = f"Usage of {money.format_usd(used)}, of which the plan includes {money.format_usd(allowance)}"
    return [Line("overage", text, period.name, nano)]


def _above(used: int, allowance: int | None) -> int:
    return 0 if allowance is None else max(used - allowance, 0)


def _corrections(account: Account, period: Period) -> list[Line]:
    """A line for each closed period that was corrected in this one: by how much that changes what was charged for it.

    Included usage was not charged, so that correcting it moves no money; the line tells the change at cost all the same.
    """
    late = UsageAdjustment.objects.filter(account_id=account.pk, late_at__isnull=False, period__lte=period.start)
    now, before = Q(period=period.start), Q(period__lt=period.start)
    rows = late.order_by().values("corrects_period")
    sums = rows.annotate(
        count=Count("id", filter=now), now=Sum("delta_nano", filter=now), before=Sum("delta_nano", filter=before)
    )
    moved = {row["corrects_period"]: row for row in sums if row["count"]}
    closed = Statement.objects.filter(account_id=account.pk, period__in=moved).order_by()
    sold = {one.period: (one.usage_nano, one.allowance_nano) for one in closed}
    return [
        _correction(about, row["count"], int(row["now"]), int(row["before"] or 0), *sold.get(about, (0, None)))
        for about, row in sorted(moved.items())
    ]


def _correction(about: date, count: int, now: int, before: int, used: int, allowance: int | None) -> Line:
    nano = _above(used + before + now, allowance) - _above(used + before, allowance)
    what = "1 late correction" if count == 1 else f"{count} late corrections"
    text = f"{what} of {about:%Y-%m}: {money.format_usd(now)} at cost" + ("" if nano else ", of included usage")
    return Line("correction", text, f"{about:%Y-%m}", nano)


def _carried(account: Account, period: Period) -> list[Line]:
    """What the statement before gave back and could not be taken off there."""
    earlier = Statement.objects.filter(account_id=account.pk, period__lt=period.start).order_by("-period").first()
    if earlier is None or earlier.total_cents >= 0:
        return []
    return [Line("carried", f"Credit of {earlier}", str(earlier), earlier.total_cents * money.CENT)]


def _allowance(account: Account, period: Period, plan: Plan) -> int | None:
    """The monthly cost that the plan includes, where an operator made that limit soft: what is above it is charged."""
    for limit in plans.effective_limits(account, period.ends_at - INSTANT, plan=plan):
        if limit.key == (MONTHLY_COST, Per.PERIOD):
            return None if limit.hard else limit.amount
    return None
