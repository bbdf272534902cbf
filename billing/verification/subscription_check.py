"""Checks of subscription events, and of the subscription's row against the last of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from django.db.models import Exists, OuterRef

from billing.models import Account, Plan, Subscription, SubscriptionEvent
from billing.plans.fees import MONTHS_PER_CYCLE
from billing.verification import scans
from billing.verification.differences import CheckedPart, CheckedRow, Comparison, compare
from billing.verification.scans import AccountRange
from lib import money, periods

EVENTS, SUBSCRIPTIONS = SubscriptionEvent._meta.db_table, Subscription._meta.db_table
EventKind, Status = SubscriptionEvent.Kind, Subscription.Status
PAGE_SIZE = 1_000  # events
DATED_KEYS = {"first", "end", "price_nano", "cycle_days"}  # of a fee line that can be calculated again
STATUS_AFTER = {
    EventKind.CANCELLED: Status.CANCELLED,
    EventKind.PAST_DUE: Status.PAST_DUE,
    EventKind.SUSPENDED: Status.SUSPENDED,
    EventKind.PAID: Status.ACTIVE,
    EventKind.SUBSCRIBED: Status.ACTIVE,
}
RENEWAL_AFTER = {EventKind.CANCEL_PLANNED: False, EventKind.CANCELLED: False} | dict.fromkeys(
    (
        EventKind.SUBSCRIBED,
        EventKind.UPGRADED,
        EventKind.PLANNED,
        EventKind.CHANGED,
        EventKind.RENEWED,
        EventKind.RESUMED,
    ),
    True,
)
Pairs = dict[str, tuple[object, object]]

next_events = scans.id_pages(SubscriptionEvent.objects.all(), size=PAGE_SIZE)


def compare_events(page: Sequence[SubscriptionEvent]) -> CheckedPart:
    """The fee of each event, against its lines; each line, against days x price; the period that bills it."""
    accounts = Account.objects.in_bulk({event.account_id for event in page})
    plans = set(Plan.objects.values_list("pk", flat=True))
    return compare(_event_row(event, accounts.get(event.account_id), plans) for event in page)


def _event_row(event: SubscriptionEvent, account: Account | None, plans: set[int]) -> CheckedRow:
    pairs: Pairs = {
        "account_id": (event.account_id, account.pk if account else None),
        "plan_id": (event.plan_id, event.plan_id if event.plan_id in plans else None),
        "fee_nano": (event.fee_nano, sum(line["nano"] for line in event.fee_lines)),
        "status": (event.status, STATUS_AFTER.get(EventKind(event.kind), event.status)),
        "period_end": (event.period_end, max(event.period_end, event.period_start)),
    }
    if account:
        pairs["billed_in"] = (event.billed_in, periods.period_start(account.schedule, event.billed_in))
    for number, line in enumerate(event.fee_lines):
        if line.keys() >= DATED_KEYS:
            pairs[f"fee_lines.{number}.nano"] = (line["nano"], _dated_fee_nano(line))
    complete = all(line.keys() >= DATED_KEYS for line in event.fee_lines)
    return CheckedRow(EVENTS, (event.id,), pairs, complete=complete)


def _dated_fee_nano(line: dict[str, Any]) -> int:
    """Price x days / days of the cycle, half-even in cents, with the sign of the line."""
    days = (date.fromisoformat(line["end"]) - date.fromisoformat(line["first"])).days
    cents = money.divide_half_even(abs(line["price_nano"] * days), line["cycle_days"] * money.CENT)
    return cents * money.CENT * (-1 if line["nano"] < 0 else 1)


def compare_subscriptions(accounts: AccountRange) -> CheckedPart:
    """Each subscription, against its account's last event and schedule."""
    comparison = Comparison()
    last = _last_events(accounts)
    rows = Subscription.objects.filter(accounts.where()).select_related("account").order_by("account_id")
    for row in rows:
        event = last.pop(row.account_id, None)
        pairs = dict(_subscription_pairs(row, event)) if event else {"exists": (True, False)}
        comparison.add(CheckedRow(SUBSCRIPTIONS, (row.account_id,), pairs))
    for account_id in last:
        comparison.add(CheckedRow(SUBSCRIPTIONS, (account_id,), {"exists": (False, True)}))
    return comparison.as_part()


def _last_events(accounts: AccountRange) -> dict[int, SubscriptionEvent]:
    later = SubscriptionEvent.objects.filter(account_id=OuterRef("account_id"), id__gt=OuterRef("id"))
    last = SubscriptionEvent.objects.filter(accounts.where()).exclude(Exists(later))
    return {row.account_id: row for row in last.order_by("account_id")}


def _subscription_pairs(row: Subscription, event: SubscriptionEvent) -> Iterator[tuple[str, tuple[object, object]]]:
    for name in ("plan_id", "cycle", "status", "fee_nano"):
        yield name, (getattr(row, name), getattr(event, name))
    yield "pending_plan_id", (row.pending_plan_id, event.next_plan_id)
    yield "pending_cycle", (bool(row.pending_cycle), row.pending_plan_id is not None)
    yield "auto_renew", (row.auto_renew, RENEWAL_AFTER.get(EventKind(event.kind), row.auto_renew))
    yield "period_start", (row.period_start, event.period_start)
    yield "period_end", (row.period_end, _expected_end(row, event))
    if row.status != Status.CANCELLED and periods.is_known(row.account.schedule):
        yield "renews_at", (row.renews_at, periods.first_instant(row.account.schedule, row.period_end))
    yield "grace_until", (row.grace_until is not None, row.status in (Status.PAST_DUE, Status.SUSPENDED))


def _expected_end(row: Subscription, event: SubscriptionEvent) -> date:
    """That of the last event, or where the schedule was changed since, the one by the schedule."""
    months = MONTHS_PER_CYCLE[row.cycle]
    by_schedule = periods.period_start_after_months(row.account.schedule, row.period_start, months)
    return row.period_end if row.period_end == by_schedule and row.status != Status.CANCELLED else event.period_end
