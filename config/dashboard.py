"""The admin's index page: a month's spend by provider and category, what needs attention, and health.

Billing and monitoring compute the figures; this module combines them.
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

VIEW_PERMISSION = "billing.view_usagelog"


def context(request: HttpRequest, at: datetime) -> dict[str, Any]:
    """The context of templates/admin/index.html. An invalid `period` parameter means the current period."""
    if not request.user.has_perm(VIEW_PERMISSION):
        return {}
    summary, days = _figures(request, at)
    unread, _ = alerts.list_page(None, unread=True, size=dashboards.MAX_ALERTS)
    return {
        **account_page.shared_context(summary, reports.compare_periods(summary, at), days),
        "what": "month",
        "periods": reports.list_periods(None, at),
        "links": account_page.log_links(summary.period, None),
        "unpriced_models": reverse("admin:billing_unpriced"),
        "near": needs_attention.near_limit(at),
        "alerts": unread,
        "subscriptions": needs_attention.subscriptions(at),
        "unread_fields": needs_attention.unread_fields(),
        "health": health.latest(),
        "providers": provider_health.latest(),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }


def csv(request: HttpRequest, at: datetime) -> HttpResponseBase | None:
    """A table of the page as CSV if the `csv` parameter names one; else None."""
    if not (request.GET.get("csv") and request.user.has_perm(VIEW_PERMISSION)):
        return None
    summary, days = _figures(request, at)
    return cards.csv_response(request, summary, [days])


def _figures(request: HttpRequest, at: datetime) -> tuple[Summary, Trend]:
    period, labels = account_page.requested_period(request, None, at), rulebook.current().labels
    return reports.summary(None, period, at, labels=labels), trends.for_period(None, period, at, labels)


def health_card(request: HttpRequest) -> HttpResponse:
    """The live part of the System health card: the latest cached measurement, which all open tabs share."""
    return render(request, "admin/health_card.html", {"health": health.latest()})
