"""The customers' first page, `/usage/`: the budget, what used it, limits and alerts; in full where that was asked for.

Every figure comes from billing and monitoring, as in the API; this module only brings the two together.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.accounts.usage_periods import Period
from billing.dashboards import account_page, cards, dashboards
from billing.dashboards.account_page import Links
from billing.pages.base import MemberRequest, member
from billing.plans import subscriptions
from billing.reports import reports
from monitoring import health
from providers import rulebook

COMPACT, DETAILED = "compact", "detailed"
CHOICE = "usage_view"  # of the session
STEPS = 12  # of a subscription that are shown


@require_GET
@member
def page(request: MemberRequest) -> HttpResponseBase:
    account, at = request.account, timezone.now()
    period, view = account_page.period_of(request, account, at), _view(request)
    found = dashboards.of(account, period, at)
    in_full = view == DETAILED or "csv" in request.GET
    models = reports.by_model(found.summary, rulebook.current().labels) if in_full else []
    if csv := cards.csv(request, found.summary, [found.days, found.months], models):
        return csv
    context = {
        **account_page.shared(found.summary, found.pace, found.days),
        "section": "overview",
        "view": view,
        "what": "period",
        "periods": reports.periods_of(account, at),
        "links": links(period),
        "projection": found.projection,
        "plan": found.plan,
        "rings": cards.rings(found.standings),
        "months": cards.chart(found.months),
        "models": models,
        "alerts": found.alerts,
        "history": subscriptions.history(account)[:STEPS] if view == DETAILED else [],
        "health": health.snapshot(),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }
    return render(request, "usage/dashboard.html", context)


@require_GET
@member
def health_card(request: MemberRequest) -> HttpResponse:
    """The live part of the card: whether the service is well, and no figure of other customers."""
    return render(request, "usage/cards/health.html", {"health": health.snapshot()})


def links(period: Period) -> Links:
    logs = f"{reverse('usage:logs')}?period={period.name}"
    return Links(logs, f"{logs}&priced=false", f"{logs}&confidence=fallback")


def _view(request: HttpRequest) -> str:
    """Compact, unless the customer chose otherwise; a choice is remembered."""
    asked = request.GET.get("view")
    if asked in (COMPACT, DETAILED):
        request.session[CHOICE] = asked
    return str(request.session.get(CHOICE, COMPACT))
