"""The fee lines of a subscription's changes, from its plan, its cycle and the days that its events have charged.

`charged_until` is the first day that no fee was charged for. It may be later than the end of the cycle: an immediate
cancellation refunds nothing, but its paid days are not charged again when the account subscribes once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from billing.models import Account, Cycle, Subscription, SubscriptionEvent
from billing.plans import plans, proration
from billing.plans.plans import Plan
from billing.plans.proration import DailyPrice, FeeLine, PaidDays
from lib import periods

MONTHS_PER_CYCLE = {Cycle.MONTHLY.value: 1, Cycle.YEARLY.value: 12}


def charge(
    subscription: Subscription, account: Account, plan: Plan, first: date, unused_lines: Sequence[FeeLine] = ()
) -> list[FeeLine]:
    """Charge the days from `first` to the end of the cycle, and credit those that are paid already.

    `unused_lines` are the credits of the plan before: days that they credit count as not paid.
    """
    end, charged_until = subscription.period_end, subscription.charged_until or subscription.period_end
    lines = proration.charge(_name(subscription, plan), _daily_price(subscription, account, plan), first, end)
    paid = _paid_days(account, first, unused_lines) if first < charged_until else {}
    subscription.charged_until = max(end, _paid_until(paid, end))
    return [*lines, *unused_lines, *(proration.credit_paid(lines[0], paid) if lines else ())]


def unused(subscription: Subscription, account: Account, plan: Plan, first: date) -> list[FeeLine]:
    """Credits for the days from `first` to the end of the cycle, as far as they were charged."""
    return _credit_unused(subscription, account, plan, first, subscription.period_end)


def shorten(subscription: Subscription, account: Account, plan: Plan, old_end: date) -> list[FeeLine]:
    """Credits for the days from the end of the cycle to `old_end`, as far as they were charged."""
    lines = _credit_unused(subscription, account, plan, subscription.period_end, old_end)
    paid = _paid_days(account, subscription.period_end, lines)
    subscription.charged_until = _paid_until(paid, subscription.period_end)
    return lines


def _credit_unused(subscription: Subscription, account: Account, plan: Plan, first: date, end: date) -> list[FeeLine]:
    price = _daily_price(subscription, account, plan)
    return proration.credit_unused(_name(subscription, plan), price, first, end, _paid_days(account, first))


def _daily_price(subscription: Subscription, account: Account, plan: Plan) -> DailyPrice:
    months = MONTHS_PER_CYCLE[subscription.cycle]
    days = periods.regular_cycle_days(account.schedule, subscription.period_start, months)
    return DailyPrice(_price(plan, subscription.cycle), days)


def _price(plan: Plan, cycle: str) -> int:
    return plan.price_yearly_nano if cycle == Cycle.YEARLY else plan.price_monthly_nano


def _name(subscription: Subscription, plan: Plan) -> str:
    return f"{plan.name}, {subscription.cycle}"


def _paid_days(account: Account, first: date, new_lines: Sequence[FeeLine] = ()) -> dict[date, DailyPrice]:
    """The days from `first` on that the stored events and `new_lines` leave paid."""
    events = SubscriptionEvent.objects.filter(account_id=account.pk).order_by("id")
    return proration.replay([*map(_stored_lines, events), new_lines], first)


def _paid_until(paid: PaidDays, default: date) -> date:
    return max(paid) + periods.DAY if paid else default


def _stored_lines(event: SubscriptionEvent) -> list[FeeLine]:
    lines = [_stored_line(line) for line in event.fee_lines if "cycle_days" in line]
    return lines if lines or not event.fee_lines else [_line_without_dates(event)]


def _stored_line(line: dict[str, Any]) -> FeeLine:
    first, end = date.fromisoformat(line["first"]), date.fromisoformat(line["end"])
    price = DailyPrice(line["price_nano"], line["cycle_days"])
    return FeeLine(line["text"], line["nano"], first, end, price, credit=line["credit"])


def _line_without_dates(event: SubscriptionEvent) -> FeeLine:
    """The charge of an event of an earlier release: up to the cycle's end, at the price divided by the cycle's own days."""
    first, end = event.period_start, event.period_end
    price = DailyPrice(_price(plans.current().plans[event.plan_id], event.cycle), (end - first).days)
    return FeeLine("", event.fee_nano, first, end, price, credit=False)
