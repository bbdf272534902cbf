"""A customer's plan: its limits and their use, and the history of the subscription."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.limits.limit_status import limit_rows
from billing.models import Subscription, SubscriptionEvent
from billing.pages.base import MemberRequest, member_required
from billing.plans import plans, subscriptions
from lib import csv_stream, money, periods

Status = Subscription.Status
BADGES = {Status.ACTIVE: "ok", Status.PAST_DUE: "warning", Status.SUSPENDED: "critical", Status.CANCELLED: "plain"}
MAX_EVENTS = 200

CSV_COLUMNS = (
    "took_effect",
    "step",
    "plan",
    "cycle",
    "next_plan",
    "fee_usd",
    "fee_of",
    "calls_by_then",
    "cost_by_then_usd",
)


@require_GET
@member_required
def history_csv(request: MemberRequest) -> HttpResponseBase:
    """All events of the subscription, newest first."""
    return csv_stream.response("subscription.csv", CSV_COLUMNS, map(_csv_row, subscriptions.history(request.account)))


def _csv_row(event: SubscriptionEvent) -> tuple[object, ...]:
    fee_of = "; ".join(f"{part['text']}: {money.exact_usd(part['nano'])}" for part in event.fee_lines)
    return (
        *(event.effective_at.isoformat(), event.kind, event.plan.slug, event.cycle),
        event.next_plan.slug if event.next_plan else "",
        *(money.exact_usd(event.fee_nano), fee_of),
        *(event.usage.get("calls", 0), money.exact_usd(event.usage.get("cost_nano", 0))),
    )


@require_GET
@member_required
def plan_page(request: MemberRequest) -> HttpResponse:
    account, at = request.account, timezone.now()
    catalog, subscription = plans.current(), subscriptions.for_account(account)
    context = {
        "plan": plans.for_account(account, at, catalog),
        "inactive": plans.inactive_reason(account, at),
        "meters": limit_rows(account, at),
        "subscription": subscription,
        "pending": catalog.plans.get(subscription.pending_plan_id or 0) if subscription else None,
        "badge": BADGES[Status(subscription.status)] if subscription else "",
        "last_day": subscription.period_end - periods.DAY if subscription else None,
        "history": subscriptions.history(account)[:MAX_EVENTS],
    }
    return render(request, "usage/plan.html", {**context, "section": "plan"})
