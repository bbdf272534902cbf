"""What operators see of usage: the cards of one account's page, and those that the platform's first page shares with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.dashboards import cards, dashboards
from billing.models import Account
from billing.reports import reports
from billing.reports.reports import Pace, Summary
from billing.reports.trends import Trend
from providers import rulebook


class Links(NamedTuple):
    """Where a card's figures lead: the change list of the period's logs, and what stands out among them."""

    logs: str
    unpriced: str
    fallback: str


def links(period: Period, account: Account | None) -> Links:
    query = {"days": period.name} | ({"account": account.external_id} if account else {})
    logs = f"{reverse('admin:billing_usagelog_changelist')}?{urlencode(query)}"
    return Links(logs, f"{logs}&priced=no", f"{logs}&confidence=fallback")


def period_of(request: HttpRequest, account: Account | None, at: datetime) -> Period:
    """The period that the address names; an impossible one is the current one."""
    name = request.GET.get("period")
    try:
        return usage_periods.named_period(account, name) if name else usage_periods.current_period(account, at)
    except ValueError:
        return usage_periods.current_period(account, at)


def shared(summary: Summary, pace: Pace, days: Trend) -> dict[str, Any]:
    """The context of the cards under templates/usage/cards/ that every page of usage has."""
    return {
        "summary": summary,
        "pace": pace,
        "bars": cards.bars(summary),
        "days": cards.chart(days),
        "csv": f"?period={summary.period.name}&csv=",
    }


def account_page(request: HttpRequest, account: Account) -> HttpResponseBase:
    """`/admin/billing/account/{id}/usage/`: what the first page shows, for one account."""
    at = timezone.now()
    period = period_of(request, account, at)
    found = dashboards.of(account, period, at)
    models = reports.by_model(found.summary, rulebook.current().labels)
    if csv := cards.csv(request, found.summary, [found.days, found.months], models):
        return csv
    context = {
        **admin.site.each_context(request),
        **shared(found.summary, found.pace, found.days),
        "title": f"Usage of {account}",
        "account": account,
        "what": "period",
        "periods": reports.periods_of(account, at),
        "links": links(period, account),
        "projection": found.projection,
        "plan": found.plan,
        "rings": cards.rings(found.standings),
        "months": cards.chart(found.months),
        "models": models,
        "alerts": found.alerts,
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }
    return render(request, "admin/billing/account/usage.html", context)
