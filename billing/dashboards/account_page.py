"""Operators' usage page of an account, and the parts of it that the admin's first page shares."""

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
from billing.reports.reports import PeriodComparison, Summary
from billing.reports.trends import Trend
from providers import rulebook


class LogLinks(NamedTuple):
    """Addresses of the period's logs: all, unpriced, estimated, and with a fallback provider."""

    logs: str
    unpriced: str
    estimated: str
    fallback: str


def log_links(period: Period, account: Account | None) -> LogLinks:
    query = {"days": period.name} | ({"account": account.external_id} if account else {})
    logs = f"{reverse('admin:billing_usagelog_changelist')}?{urlencode(query)}"
    return LogLinks(logs, f"{logs}&priced=no", f"{logs}&estimated=yes", f"{logs}&confidence=fallback")


def requested_period(request: HttpRequest, account: Account | None, at: datetime) -> Period:
    """The period named by `?period=`; the current one without a valid name."""
    name = request.GET.get("period")
    try:
        return usage_periods.named_period(account, name) if name else usage_periods.current_period(account, at)
    except ValueError:
        return usage_periods.current_period(account, at)


def shared_context(summary: Summary, pace: PeriodComparison, days: Trend) -> dict[str, Any]:
    """Context of the cards in templates/usage/cards/ that every usage page shows."""
    return {
        "summary": summary,
        "pace": pace,
        "bars": cards.provider_bars(summary),
        "days": cards.cost_chart(days),
        "csv": f"?period={summary.period.name}&csv=",
    }


def render_account(request: HttpRequest, account: Account) -> HttpResponseBase:
    """`/admin/billing/account/{id}/usage/`"""
    at = timezone.now()
    period = requested_period(request, account, at)
    dashboard = dashboards.load(account, period, at)
    models = reports.model_usage(dashboard.summary, rulebook.current().labels)
    if csv := cards.csv_response(request, dashboard.summary, [dashboard.days, dashboard.months], models):
        return csv
    context = {
        **admin.site.each_context(request),
        **shared_context(dashboard.summary, dashboard.pace, dashboard.days),
        "title": f"Usage of {account}",
        "account": account,
        "what": "period",
        "periods": reports.list_periods(account, at),
        "links": log_links(period, account),
        "projection": dashboard.projection,
        "plan": dashboard.plan,
        "rings": cards.limit_rings(dashboard.limit_statuses),
        "months": cards.cost_chart(dashboard.months),
        "models": models,
        "alerts": dashboard.alerts,
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }
    return render(request, "admin/billing/account/usage.html", context)
