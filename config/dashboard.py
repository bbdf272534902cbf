"""The operators' first page: spend of a month by provider and category, what needs a look, and the service's health.

Every figure comes from billing and monitoring, as in the API; this module only brings the two together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from billing.alerts import alerts
from billing.dashboards import account_page, cards, dashboards, needs_attention
from billing.reports import provider_health, reports, trends
from billing.reports.reports import Summary
from billing.reports.trends import Trend
from monitoring import health
from providers import rulebook

MAY_SEE = "billing.view_usagelog"


def context(request: HttpRequest, at: datetime) -> dict[str, Any]:
    """What templates/admin/index.html shows; an impossible `period` in the address is the current one."""
    if not request.user.has_perm(MAY_SEE):
        return {}
    summary, days = _figures(request, at)
    unread, _ = alerts.page(None, unread=True, size=dashboards.NEWEST_ALERTS)
    return {
        **account_page.shared(summary, reports.pace(summary, at), days),
        "what": "month",
        "periods": reports.periods_of(None, at),
        "links": account_page.links(summary.period, None),
        "unpriced_models": reverse("admin:billing_unpriced"),
        "near": needs_attention.near_limit(at),
        "alerts": unread,
        "subscriptions": needs_attention.subscriptions(at),
        "health": health.snapshot(),
        "providers": provider_health.snapshot(),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }


def csv(request: HttpRequest, at: datetime) -> HttpResponseBase | None:
    """A table of the page, where the address asks for one."""
    if not (request.GET.get("csv") and request.user.has_perm(MAY_SEE)):
        return None
    summary, days = _figures(request, at)
    return cards.csv(request, summary, [days])


def _figures(request: HttpRequest, at: datetime) -> tuple[Summary, Trend]:
    period, labels = account_page.period_of(request, None, at), rulebook.current().labels
    return reports.summary(None, period, at, labels=labels), trends.of_period(None, period, at, labels)


def health_card(request: HttpRequest) -> HttpResponse:
    """The live part of the health card; one measurement serves every open tab."""
    return render(request, "admin/health_card.html", {"health": health.snapshot()})
