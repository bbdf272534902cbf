"""A customer's plan: its limits in words, where the account stands with each, and the history of the subscription."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing import plans, subscriptions
from billing.meter_lines import meter_lines
from billing.models import Subscription
from billing.pages.base import MemberRequest, member
from lib import periods

Status = Subscription.Status
BADGES = {Status.ACTIVE: "ok", Status.PAST_DUE: "warning", Status.SUSPENDED: "critical", Status.CANCELLED: "unknown"}
HISTORY = 200  # steps on the page


@require_GET
@member
def page(request: MemberRequest) -> HttpResponse:
    account, at = request.account, timezone.now()
    catalog, subscription = plans.current(), subscriptions.of(account)
    shown = {
        "plan": plans.of_account(account, at, catalog),
        "inactive": plans.inactive(account, at),
        "meters": meter_lines(account, at),
        "subscription": subscription,
        "pending": catalog.plans.get(subscription.pending_plan_id or 0) if subscription else None,
        "badge": BADGES[Status(subscription.status)] if subscription else "",
        "last_day": subscription.period_end - periods.DAY if subscription else None,
        "history": subscriptions.history(account)[:HISTORY],
    }
    return render(request, "usage/plan.html", {**shown, "section": "plan"})
