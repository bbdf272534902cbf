"""The customers' dashboard, `/usage/`, compact or detailed: figures of billing, and the service's health."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.accounts.usage_periods import Period
from billing.dashboards import account_page, cards, dashboards
from billing.dashboards.account_page import LogLinks
from billing.pages.base import MemberRequest, member_required
from billing.plans import subscriptions
from billing.reports import reports
from monitoring import health
from providers import rulebook

COMPACT, DETAILED = "compact", "detailed"
VIEW_KEY = "usage_view"  # in the session
MAX_EVENTS = 12  # of the subscription's history


@require_GET
@member_required
def dashboard_page(request: MemberRequest) -> HttpResponseBase:
    account, at = request.account, timezone.now()
    period, view = account_page.requested_period(request, account, at), _chosen_view(request)
    dashboard = dashboards.load(account, period, at)
    detailed = view == DETAILED or "csv" in request.GET
    models = reports.model_usage(dashboard.summary, rulebook.current().labels) if detailed else []
    if csv := cards.csv_response(request, dashboard.summary, [dashboard.days, dashboard.months], models):
        return csv
    context = {
        **account_page.shared_context(dashboard.summary, dashboard.pace, dashboard.days),
        "section": "overview",
        "view": view,
        "what": "period",
        "periods": reports.list_periods(account, at),
        "links": log_links(period),
        "projection": dashboard.projection,
        "plan": dashboard.plan,
        "rings": cards.limit_rings(dashboard.limit_statuses),
        "months": cards.cost_chart(dashboard.months),
        "models": models,
        "alerts": dashboard.alerts,
        "history": subscriptions.history(account)[:MAX_EVENTS] if view == DETAILED else [],
        "health": health.latest(),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }
    return render(request, "usage/dashboard.html", context)


@require_GET
@member_required
def health_card(request: MemberRequest) -> HttpResponse:
    """The live part of the service card: the health status only, no figures of other customers."""
    return render(request, "usage/cards/health.html", {"health": health.latest()})


def log_links(period: Period) -> LogLinks:
    logs = f"{reverse('usage:logs')}?period={period.name}"
    return LogLinks(logs, f"{logs}&priced=false", f"{logs}&estimated=true", f"{logs}&confidence=fallback")


def _chosen_view(request: HttpRequest) -> str:
    """The view of `?view=`, which the session remembers; compact at first."""
    view = request.GET.get("view")
    if view in (COMPACT, DETAILED):
        request.session[VIEW_KEY] = view
    return str(request.session.get(VIEW_KEY, COMPACT))
