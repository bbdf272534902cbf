"""Changes of subscriptions (start, upgrade, cancel, resume, renew) and their fees.

Every change runs under the account's lock, first applies overdue renewals, and writes the subscription's row and one event.
current_subscription.py answers which plan is in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, Subscription, SubscriptionEvent, UsageDay
from billing.plans import current_subscription, fees, plans
from billing.plans.plans import Plan
from billing.plans.proration import FeeLine
from lib import isolation, keyset, periods, retry

EventKind, Status = SubscriptionEvent.Kind, Subscription.Status
LIVE_STATUSES = (Status.ACTIVE, Status.PAST_DUE)
BATCH_SIZE = 500  # accounts per query of a job


def for_account(account: Account) -> Subscription | None:
    """The account's stored subscription, including a cancelled one."""
    return Subscription.objects.filter(account_id=account.pk).first()


def history(account: Account) -> QuerySet[SubscriptionEvent]:
    """The events of the account's subscription, newest first."""
    events = SubscriptionEvent.objects.filter(account_id=account.pk).select_related("plan", "next_plan")
    return events.order_by("-id")


@retry.atomic
def subscribe(account: Account, *, plan: str, cycle: str, actor: str, at: datetime) -> tuple[Subscription, bool]:
    """Subscribe the account to the newest version of `plan`. Returns the subscription, and whether it is a new one.

    Upgrades and monthly-to-yearly changes take effect immediately and are prorated; other changes take effect with the next
    cycle. The current plan and cycle keep their version, and a planned cancellation or change of them is withdrawn.
    Raises Refused for a plan that is not offered, and while the subscription is suspended.
    """
    with locked_account(account.pk) as account:
        offered = plans.current().latest.get(plan)
        if offered is None or not offered.active:
            raise Refused("unknown_plan", "This plan is not offered.", "plan")
        if reason := plans.inactive_reason(account, at):
            raise Refused("subscription_inactive", reason)
        subscription, context = advance(account, at), EventContext(actor, at)
        if subscription is None or subscription.status == Status.CANCELLED:
            return _start(subscription or Subscription(account=account), account, offered, cycle, context), True
        current = plans.current().plans[subscription.plan_id]
        if (current.slug, subscription.cycle) == (offered.slug, cycle):
            _resume(subscription, account, context)
        elif _takes_effect_immediately(current, subscription.cycle, offered, cycle):
            _upgrade(subscription, account, current, offered, cycle, context)
        else:
            _schedule_change(subscription, account, offered, cycle, context)
        return subscription, False


@retry.atomic
def cancel(account: Account, *, actor: str, at: datetime, immediately: bool = False, reason: str = "") -> Subscription:
    """Cancel the subscription at the end of its cycle, or immediately. Nothing is refunded; the default plan follows.

    Raises Refused where there is no subscription. Repeating it changes nothing.
    """
    with locked_account(account.pk) as account:
        subscription = _advance_or_refuse(account, at)
        if immediately:
            subscription.period_end = periods.local_day(account.schedule, at)
            _end(subscription, account, at, EventContext(actor, at, reason))
        elif subscription.auto_renew:
            _set_renewal(subscription, auto_renew=False)
            _record(subscription, account, EventKind.CANCEL_PLANNED, at, EventContext(actor, at, reason))
        return subscription


@retry.atomic
def resume(account: Account, *, actor: str, at: datetime) -> Subscription:
    """Withdraw a planned cancellation or change. Raises Refused where there is no subscription."""
    with locked_account(account.pk) as account:
        subscription = _advance_or_refuse(account, at)
        _resume(subscription, account, EventContext(actor, at))
        return subscription


def follow_schedule(account: Account, *, actor: str, at: datetime) -> None:
    """Move the end of the running cycle to the account's new anchor or time zone. Needs the account's lock.

    Added days are charged, and days that are no longer in the cycle credited. An end that stays the same is no event.
    """
    subscription = for_account(account)
    if subscription is None or subscription.status == Status.CANCELLED or subscription.renews_at <= at:
        return
    old_end = subscription.period_end
    _set_cycle(subscription, account, subscription.period_start)
    if subscription.period_end == old_end:
        subscription.save(update_fields=["renews_at"])
        return
    plan = plans.current().plans[subscription.plan_id]
    move_end = fees.shorten if subscription.period_end < old_end else fees.charge
    lines = move_end(subscription, account, plan, old_end)
    _record(subscription, account, EventKind.RESCHEDULED, at, EventContext(actor, at), lines)


@retry.atomic
def mark_past_due(account: Account, at: datetime) -> None:
    """Mark an active subscription as past due; it is suspended when the grace period is over."""
    with locked_account(account.pk) as account:
        subscription = advance(account, at)
        if subscription and subscription.status == Status.ACTIVE:
            subscription.status = Status.PAST_DUE.value
            subscription.grace_until = at + timedelta(days=settings.PAST_DUE_GRACE_DAYS)
            _record(subscription, account, EventKind.PAST_DUE, at, EventContext("", at))


@retry.atomic
def reinstate(account: Account, *, actor: str, at: datetime) -> None:
    """Reactivate a past-due or suspended subscription, in a new cycle where the old cycle has ended."""
    with locked_account(account.pk) as account:
        subscription = advance(account, at)
        if subscription is None or subscription.status not in (Status.PAST_DUE, Status.SUSPENDED):
            return
        subscription.status, subscription.grace_until = Status.ACTIVE.value, None
        if at < subscription.renews_at:
            _record(subscription, account, EventKind.PAID, at, EventContext(actor, at))
        elif subscription.auto_renew:
            plan, cycle = _next_plan_and_cycle(subscription)
            _start(subscription, account, plan, cycle, EventContext(actor, at))
        else:
            _end(subscription, account, at, EventContext(actor, at))  # now: the periods until then may be closed


def renew_due(at: datetime, problems: list[str] | None = None) -> int:
    """Apply every overdue renewal, end and suspension. Returns how many subscriptions. Safe to interrupt and to run twice.

    An account that fails stays due, and the others are renewed. It is added to `problems`; without that list, raises
    ProblemFound in the end.
    """
    due = Q(status__in=LIVE_STATUSES, renews_at__lte=at) | Q(status=Status.PAST_DUE, grace_until__lte=at)
    subscriptions = Subscription.objects.filter(due).values_list("pk", "account__external_id")
    count = 0
    with isolation.collect(problems) as failed:
        for account_id, name in chain.from_iterable(keyset.iter_pages(subscriptions, size=BATCH_SIZE)):
            renew = partial(_renew_account, account_id, at)
            count += bool(isolation.attempt(renew, name=name, problems=failed))
    return count


def plan_at(account: Account, at: datetime) -> Plan:
    """The plan in force just before `at`, by the events effective until then."""
    catalog = plans.current()
    events = SubscriptionEvent.objects.filter(account_id=account.pk, effective_at__lt=at)
    last = events.order_by("-effective_at", "-id").first()
    if last is None or last.status == Status.CANCELLED:
        return catalog.default
    return catalog.plans[last.plan_id]


class EventContext(NamedTuple):
    """Who changed a subscription, when, and why."""

    actor: str
    at: datetime
    reason: str = ""


@contextmanager
def locked_account(account_id: int) -> Iterator[Account]:
    """A transaction that holds the account's lock. Every change of a subscription needs it; retry.atomic repeats it."""
    with transaction.atomic():
        account = accounts.lock(account_id)
        try:
            yield account
        finally:
            current_subscription.invalidate(account)


@retry.atomic
def _renew_account(account_id: int, at: datetime) -> bool:
    with locked_account(account_id) as account:
        advance(account, at)
    return True


def _advance_or_refuse(account: Account, at: datetime) -> Subscription:
    subscription = advance(account, at)
    if subscription is None or subscription.status == Status.CANCELLED:
        raise Refused("no_subscription", "This account has no subscription.")
    return subscription


def advance(account: Account, at: datetime) -> Subscription | None:
    """Apply the renewals, end or suspension due by `at`. Returns the subscription. Needs the account's lock."""
    subscription = for_account(account)
    while subscription and _apply_next_due(subscription, account, at):
        pass
    return subscription


def _apply_next_due(subscription: Subscription, account: Account, at: datetime) -> bool:
    """Apply the earliest due change: the end of the grace period or of the cycle. False where none is due."""
    grace_until, renews_at = subscription.grace_until, subscription.renews_at
    if subscription.status == Status.PAST_DUE and grace_until and grace_until <= min(at, renews_at):
        subscription.status = Status.SUSPENDED.value
        _record(subscription, account, EventKind.SUSPENDED, grace_until, EventContext("", at))
        return True
    if subscription.status not in LIVE_STATUSES or at < renews_at:
        return False
    if subscription.auto_renew:
        _renew(subscription, account, at)
    else:
        _end(subscription, account, renews_at, EventContext("", at))
    return True


def _renew(subscription: Subscription, account: Account, at: datetime) -> None:
    ended_cycle, effective_at = (subscription.period_start, subscription.period_end), subscription.renews_at
    kind = EventKind.CHANGED if subscription.pending_plan_id else EventKind.RENEWED
    plan, subscription.cycle = _next_plan_and_cycle(subscription)
    subscription.plan_id = plan.id
    _set_renewal(subscription, auto_renew=True)
    start = subscription.period_end
    _set_cycle(subscription, account, start)
    lines, context = fees.charge(subscription, account, plan, start), EventContext("", at)
    _record(subscription, account, kind, effective_at, context, lines, billed_in=start, usage_days=ended_cycle)


def _next_plan_and_cycle(subscription: Subscription) -> tuple[Plan, str]:
    """Plan and cycle after this cycle: the plan's newest version where it is offered, else the subscribed version."""
    catalog = plans.current()
    plan = catalog.plans[subscription.pending_plan_id or subscription.plan_id]
    newest = catalog.latest[plan.slug]
    return newest if newest.active else plan, subscription.pending_cycle or subscription.cycle


def _start(subscription: Subscription, account: Account, plan: Plan, cycle: str, context: EventContext) -> Subscription:
    """Start a cycle with the open usage period; the fee covers the days from today on that are not paid yet."""
    today = periods.local_day(account.schedule, context.at)
    subscription.plan_id, subscription.cycle, subscription.status = plan.id, cycle, Status.ACTIVE.value
    subscription.grace_until = None
    _set_renewal(subscription, auto_renew=True)
    _set_cycle(subscription, account, periods.period_start(account.schedule, today))
    lines = fees.charge(subscription, account, plan, today)
    _record(subscription, account, EventKind.SUBSCRIBED, context.at, context, lines)
    return subscription


def _upgrade(
    subscription: Subscription, account: Account, current: Plan, plan: Plan, cycle: str, context: EventContext
) -> None:
    """Change the plan immediately: charge the new fee for the rest of the cycle, credit the unused part of the old fee."""
    today = periods.local_day(account.schedule, context.at)
    unused = fees.unused(subscription, account, current, today)
    if cycle != subscription.cycle:
        subscription.cycle = cycle
        _set_cycle(subscription, account, periods.period_start(account.schedule, today))
    subscription.plan_id = plan.id
    _set_renewal(subscription, auto_renew=True)
    lines = fees.charge(subscription, account, plan, today, unused)
    _record(subscription, account, EventKind.UPGRADED, context.at, context, lines)


def _schedule_change(
    subscription: Subscription, account: Account, plan: Plan, cycle: str, context: EventContext
) -> None:
    if (subscription.pending_plan_id, subscription.pending_cycle, subscription.auto_renew) != (plan.id, cycle, True):
        _set_renewal(subscription, auto_renew=True, plan_id=plan.id, cycle=cycle)
        _record(subscription, account, EventKind.PLANNED, context.at, context)


def _resume(subscription: Subscription, account: Account, context: EventContext) -> None:
    if subscription.pending_plan_id or not subscription.auto_renew:
        _set_renewal(subscription, auto_renew=True)
        _record(subscription, account, EventKind.RESUMED, context.at, context)


def _end(subscription: Subscription, account: Account, effective_at: datetime, context: EventContext) -> None:
    subscription.status, subscription.grace_until = Status.CANCELLED.value, None
    _set_renewal(subscription, auto_renew=False)
    cycle = (subscription.period_start, subscription.period_end)
    _record(subscription, account, EventKind.CANCELLED, effective_at, context, usage_days=cycle)


def _takes_effect_immediately(current: Plan, current_cycle: str, plan: Plan, cycle: str) -> bool:
    """Whether `plan` costs at least as much and its cycle is not shorter: a paid year is used up before it is shortened."""
    if fees.MONTHS_PER_CYCLE[cycle] < fees.MONTHS_PER_CYCLE[current_cycle]:
        return False
    return plan.price_monthly_nano >= current.price_monthly_nano


def _set_renewal(subscription: Subscription, *, auto_renew: bool, plan_id: int | None = None, cycle: str = "") -> None:
    """What happens after the cycle: whether it renews, and to which other plan and cycle."""
    subscription.auto_renew, subscription.pending_plan_id, subscription.pending_cycle = auto_renew, plan_id, cycle


def _set_cycle(subscription: Subscription, account: Account, start: date) -> None:
    end = periods.period_start_after_months(account.schedule, start, fees.MONTHS_PER_CYCLE[subscription.cycle])
    subscription.period_start, subscription.period_end = start, end
    subscription.renews_at = periods.first_instant(account.schedule, end)


def _record(
    subscription: Subscription,
    account: Account,
    kind: str,
    effective_at: datetime,
    context: EventContext,
    lines: Sequence[FeeLine] = (),
    *,
    billed_in: date | None = None,
    usage_days: tuple[date, date] | None = None,
) -> None:
    """Save the subscription and an event. `usage_days` (half-open) default to the open usage period."""
    today = periods.local_day(account.schedule, context.at)
    open_start = periods.period_start(account.schedule, today)
    subscription.fee_nano = sum(line.nano for line in lines)
    first = next((line.first for line in lines if not line.credit), subscription.period_start)
    subscription.prorated_from = first if first > subscription.period_start else None
    values = {name: getattr(subscription, name) for name in SAVED_COLUMNS}
    Subscription.objects.update_or_create(pk=account.pk, defaults=values)
    SubscriptionEvent.objects.create(
        account=account,
        kind=kind,
        effective_at=effective_at,
        recorded_at=context.at,
        plan_id=subscription.plan_id,
        next_plan_id=subscription.pending_plan_id,
        cycle=subscription.cycle,
        status=subscription.status,
        period_start=subscription.period_start,
        period_end=subscription.period_end,
        billed_in=billed_in or open_start,
        fee_nano=subscription.fee_nano,
        fee_lines=[line.as_json() for line in lines],
        usage=_usage_totals(
            account, *(usage_days or (open_start, periods.next_period_start(account.schedule, open_start)))
        ),
        actor=context.actor,
        reason=context.reason,
    )
    plans.bump_config_version(account)


SAVED_COLUMNS = [field.attname for field in Subscription._meta.concrete_fields if not field.primary_key]


def _usage_totals(account: Account, start: date, end: date) -> dict[str, int]:
    """Calls, tokens and nano-USD of the local days [start, end)."""
    days = UsageDay.objects.filter(account_id=account.pk, day__gte=start, day__lt=end)
    sums = days.aggregate(calls=Sum("calls"), tokens=Sum("tokens_total"), cost_nano=Sum("cost_nano"))
    return {name: int(value or 0) for name, value in sums.items()}
