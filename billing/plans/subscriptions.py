"""Subscriptions: begun, moved to another plan, cancelled, resumed, renewed; and what each step asks for.

Called by the API, the admin and the jobs. Every step runs under the account's lock, first brings the subscription up to
date, and writes its row and one event. What an account may use at a moment is asked of `subscribed`, which only reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, Cycle, Subscription, SubscriptionEvent, UsageDay
from billing.plans import current_subscription, plans, proration
from billing.plans.plans import Plan
from lib import money, periods, retry

Kind, Status = SubscriptionEvent.Kind, Subscription.Status
LIVE = (Status.ACTIVE, Status.PAST_DUE)
MONTHS = {Cycle.MONTHLY.value: 1, Cycle.YEARLY.value: 12}
PARTS = 500  # accounts that a job takes at a time


class Part(NamedTuple):
    """A part of a fee: what it is for, and nano-USD in whole cents."""

    text: str
    nano: int


def of(account: Account) -> Subscription | None:
    """The account's subscription as it stands, also a cancelled one; events tell what became of it."""
    return Subscription.objects.filter(account_id=account.pk).first()


def history(account: Account) -> QuerySet[SubscriptionEvent]:
    """Every step of the account's subscription, newest first."""
    steps = SubscriptionEvent.objects.filter(account_id=account.pk).select_related("plan", "next_plan")
    return steps.order_by("-id")


def subscribe(account: Account, *, plan: str, cycle: str, actor: str, at: datetime) -> tuple[Subscription, bool]:
    """The subscription to the newest version of `plan`, and whether it was begun now.

    A dearer plan, or a year instead of a month, counts at once and is prorated; anything else counts from the next cycle
    on. The plan and cycle that are there already stay, with their version, and go on where they were to end.
    Raises Refused for a plan that is not offered, and while the subscription is suspended.
    """
    with moving(account.pk) as account:
        offered = plans.current().latest.get(plan)
        if offered is None or not offered.active:
            raise Refused("unknown_plan", "No such plan is offered.", "plan")
        if reason := plans.inactive(account, at):
            raise Refused("subscription_inactive", reason)
        one = up_to_date(account, at)
        if one is None or one.status == Status.CANCELLED:
            return _begin(one or Subscription(account=account), account, offered, cycle, actor, at), True
        held = plans.current().plans[one.plan_id]
        if (held.slug, one.cycle) == (offered.slug, cycle):
            _go_on(one, account, actor, at)
        elif _counts_at_once(held, one.cycle, offered, cycle):
            _move(one, account, held, offered, cycle, actor, at)
        else:
            _plan_change(one, account, offered, cycle, actor, at)
        return one, False


def cancel(account: Account, *, actor: str, at: datetime, at_once: bool = False, reason: str = "") -> Subscription:
    """End the subscription with its cycle, or now: the account has the default plan then. Nothing is paid back.

    Raises Refused where there is none. A second time changes nothing.
    """
    with moving(account.pk) as account:
        one = _there(account, at)
        if at_once:
            one.period_end = periods.local_day(account.schedule, at)
            _end(one, account, at, Step(actor, at, reason))
        elif one.auto_renew:
            one.auto_renew, one.pending_plan_id, one.pending_cycle = False, None, ""
            _note(one, account, Kind.CANCEL_PLANNED, at, Step(actor, at, reason))
        return one


def resume(account: Account, *, actor: str, at: datetime) -> Subscription:
    """Take back a planned cancellation or change. Raises Refused where there is no subscription."""
    with moving(account.pk) as account:
        one = _there(account, at)
        _go_on(one, account, actor, at)
        return one


def follow_schedule(account: Account) -> None:
    """After a change of anchor or zone: the running cycle ends on the new boundary. The caller holds the account's lock."""
    one = of(account)
    if one and one.status in LIVE:
        _set_cycle(one, account, one.period_start)
        one.save(update_fields=["period_end", "renews_at"])


def fall_due(account: Account, at: datetime) -> None:
    """A statement was not paid in time: past due, and suspended when the grace is over."""
    with moving(account.pk) as account:
        one = up_to_date(account, at)
        if one and one.status == Status.ACTIVE:
            one.status, one.grace_until = Status.PAST_DUE.value, at + timedelta(days=settings.PAST_DUE_GRACE_DAYS)
            _note(one, account, Kind.PAST_DUE, at, Step("", at))


def paid_up(account: Account, *, actor: str, at: datetime) -> None:
    """Nothing is overdue any more: what was suspended runs again, in a new cycle where the old one has ended."""
    with moving(account.pk) as account:
        one = up_to_date(account, at)
        if one is None or one.status not in (Status.PAST_DUE, Status.SUSPENDED):
            return
        one.status, one.grace_until = Status.ACTIVE.value, None
        if at < one.renews_at:
            _note(one, account, Kind.PAID, at, Step(actor, at))
        elif one.auto_renew:
            plan, cycle = _next(one)
            _begin(one, account, plan, cycle, actor, at)
        else:
            _end(one, account, one.renews_at, Step(actor, at))


def roll(at: datetime) -> int:
    """Bring every subscription up to date whose time has come; how many. Safe to stop, to repeat, and side by side."""
    due = Q(status__in=LIVE, renews_at__lte=at) | Q(status=Status.PAST_DUE, grace_until__lte=at)
    rolled, after = 0, 0
    while ids := list(
        Subscription.objects.filter(due, pk__gt=after).order_by("pk").values_list("pk", flat=True)[:PARTS]
    ):
        for account_id in ids:
            retry.on_deadlock(partial(_roll, account_id, at))
        rolled, after = rolled + len(ids), ids[-1]
    return rolled


def plan_at(account: Account, at: datetime) -> Plan:
    """The plan that the account had just before `at`, by the events that had taken effect."""
    catalog = plans.current()
    last = SubscriptionEvent.objects.filter(account_id=account.pk, effective_at__lt=at).order_by("-effective_at", "-id")
    event = last.first()
    if event is None or event.status == Status.CANCELLED:
        return catalog.default
    return catalog.plans[event.plan_id]


class Step(NamedTuple):
    """Who takes a step, when, and why."""

    actor: str
    at: datetime
    reason: str = ""


@contextmanager
def moving(account_id: int) -> Iterator[Account]:
    """One transaction that holds the account's lock, as every step of a subscription needs it."""
    with transaction.atomic():
        account = accounts.lock(account_id)
        try:
            yield account
        finally:
            current_subscription.forget(account)


def _roll(account_id: int, at: datetime) -> None:
    with moving(account_id) as account:
        up_to_date(account, at)


def _there(account: Account, at: datetime) -> Subscription:
    one = up_to_date(account, at)
    if one is None or one.status == Status.CANCELLED:
        raise Refused("no_subscription", "There is no subscription.")
    return one


def up_to_date(account: Account, at: datetime) -> Subscription | None:
    """The subscription after the steps that time has brought: renewals, its end, suspension. Called inside `moving`."""
    one = of(account)
    while one and _next_step(one, account, at):
        pass
    return one


def _next_step(one: Subscription, account: Account, at: datetime) -> bool:
    """Take the first step that is due, if one is: the grace that ends, or the cycle."""
    if one.status == Status.PAST_DUE and one.grace_until and one.grace_until <= min(at, one.renews_at):
        one.status = Status.SUSPENDED.value
        _note(one, account, Kind.SUSPENDED, one.grace_until, Step("", at))
        return True
    if one.status not in LIVE or at < one.renews_at:
        return False
    if one.auto_renew:
        _renew(one, account, at)
    else:
        _end(one, account, one.renews_at, Step("", at))
    return True


def _renew(one: Subscription, account: Account, at: datetime) -> None:
    ended, effective_at = (one.period_start, one.period_end), one.renews_at
    kind = Kind.CHANGED if one.pending_plan_id else Kind.RENEWED
    plan, one.cycle = _next(one)
    one.plan_id, one.pending_plan_id, one.pending_cycle = plan.id, None, ""
    _set_cycle(one, account, one.period_end)
    parts = _asked(plan, one, one.period_start)
    _note(one, account, kind, effective_at, Step("", at), parts, billed_in=one.period_start, used=ended)


def _next(one: Subscription) -> tuple[Plan, str]:
    """What follows the cycle: the newest version that is offered, else the one that was sold."""
    catalog = plans.current()
    plan = catalog.plans[one.pending_plan_id or one.plan_id]
    newest = catalog.latest[plan.slug]
    return newest if newest.active else plan, one.pending_cycle or one.cycle


def _begin(one: Subscription, account: Account, plan: Plan, cycle: str, actor: str, at: datetime) -> Subscription:
    """The cycle starts with the running usage period; its fee is for what is left of it, today included."""
    today = periods.local_day(account.schedule, at)
    one.plan_id, one.cycle, one.status, one.auto_renew = plan.id, cycle, Status.ACTIVE.value, True
    one.pending_plan_id, one.pending_cycle, one.grace_until = None, "", None
    _set_cycle(one, account, periods.start_of(account.schedule, today))
    _note(one, account, Kind.SUBSCRIBED, at, Step(actor, at), _asked(plan, one, today))
    return one


def _move(one: Subscription, account: Account, held: Plan, plan: Plan, cycle: str, actor: str, at: datetime) -> None:
    """At once: the new fee for what is left of the cycle, less what was not used of the old one."""
    today = periods.local_day(account.schedule, at)
    unused = _asked(held, one, today, back=True)
    if cycle != one.cycle:
        one.cycle = cycle
        _set_cycle(one, account, periods.start_of(account.schedule, today))
    one.plan_id, one.auto_renew, one.pending_plan_id, one.pending_cycle = plan.id, True, None, ""
    _note(one, account, Kind.UPGRADED, at, Step(actor, at), [*_asked(plan, one, today), *unused])


def _plan_change(one: Subscription, account: Account, plan: Plan, cycle: str, actor: str, at: datetime) -> None:
    if (one.pending_plan_id, one.pending_cycle, one.auto_renew) != (plan.id, cycle, True):
        one.pending_plan_id, one.pending_cycle, one.auto_renew = plan.id, cycle, True
        _note(one, account, Kind.PLANNED, at, Step(actor, at))


def _go_on(one: Subscription, account: Account, actor: str, at: datetime) -> None:
    if one.pending_plan_id or not one.auto_renew:
        one.auto_renew, one.pending_plan_id, one.pending_cycle = True, None, ""
        _note(one, account, Kind.RESUMED, at, Step(actor, at))


def _end(one: Subscription, account: Account, effective_at: datetime, step: Step) -> None:
    one.status, one.auto_renew, one.pending_plan_id, one.pending_cycle = Status.CANCELLED.value, False, None, ""
    one.grace_until = None
    _note(one, account, Kind.CANCELLED, effective_at, step, used=(one.period_start, one.period_end))


def _counts_at_once(held: Plan, held_cycle: str, wanted: Plan, cycle: str) -> bool:
    """A dearer plan, or the same for a year. A shorter cycle never: what was paid for a year is used first."""
    return wanted.price_monthly_nano >= held.price_monthly_nano and MONTHS[cycle] >= MONTHS[held_cycle]


def _set_cycle(one: Subscription, account: Account, start: date) -> None:
    schedule = account.schedule
    one.period_start, one.period_end = start, periods.months_on(schedule, start, MONTHS[one.cycle])
    one.renews_at = periods.starts_at(schedule, one.period_end)


def _asked(plan: Plan, one: Subscription, first: date, *, back: bool = False) -> list[Part]:
    """The fee for the days from `first` to the end of the cycle, or that amount given back."""
    price = plan.price_yearly_nano if one.cycle == Cycle.YEARLY else plan.price_monthly_nano
    if not price:
        return []
    nano = proration.part_of(price, one.period_start, one.period_end, first)
    days, of_days = (one.period_end - first).days, (one.period_end - one.period_start).days
    share = "" if days == of_days else f", {days} of {of_days} days of {money.format_usd(price)}"
    last = one.period_end - periods.DAY
    what = f"{plan.name}, {one.cycle}, {first} to {last}{share}"
    return [Part(f"Not used: {what}", -nano) if back else Part(what, nano)]


def _note(
    one: Subscription,
    account: Account,
    kind: str,
    effective_at: datetime,
    step: Step,
    parts: Sequence[Part] = (),
    *,
    billed_in: date | None = None,
    used: tuple[date, date] | None = None,
) -> None:
    """Store the subscription as it is now, and the event that made it so. `used` are the days of the usage snapshot."""
    today = periods.local_day(account.schedule, step.at)
    running = periods.start_of(account.schedule, today)
    one.fee_nano = sum(part.nano for part in parts)
    first = today if parts and billed_in is None else one.period_start
    one.prorated_from = first if first > one.period_start else None
    Subscription.objects.update_or_create(pk=account.pk, defaults={name: getattr(one, name) for name in MOVED})
    SubscriptionEvent.objects.create(
        account=account,
        kind=kind,
        effective_at=effective_at,
        recorded_at=step.at,
        plan_id=one.plan_id,
        next_plan_id=one.pending_plan_id,
        cycle=one.cycle,
        status=one.status,
        period_start=one.period_start,
        period_end=one.period_end,
        billed_in=billed_in or running,
        fee_nano=one.fee_nano,
        fee_lines=[part._asdict() for part in parts],
        usage=_used(account, *(used or (running, periods.next_start(account.schedule, running)))),
        actor=step.actor,
        reason=step.reason,
    )
    plans.configuration_changed(account)


MOVED = [field.attname for field in Subscription._meta.concrete_fields if not field.primary_key]


def _used(account: Account, start: date, end: date) -> dict[str, int]:
    days = UsageDay.objects.filter(account_id=account.pk, day__gte=start, day__lt=end)
    sums = days.aggregate(calls=Sum("calls"), tokens=Sum("tokens_total"), cost_nano=Sum("cost_nano"))
    return {name: int(value or 0) for name, value in sums.items()}
