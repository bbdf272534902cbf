"""The admin's Monitoring page: current health of the service and the providers, history, and single requests.

The figures come from monitoring and billing.reports.provider_health.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from billing.reports import provider_health
from monitoring import filters, health, history, request_log, traffic
from monitoring.history import TrafficInterval

MAX_ROUTES = 50
SPANS = {"24h": "Last 24 hours", "30d": "Last 30 days"}


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A row of the history table, with a link to its requests."""

    step: TrafficInterval
    name: str
    requests_url: str


def urls(site: admin.AdminSite) -> list[Any]:
    return [
        path("monitoring/", site.admin_view(_render_page), name="monitoring"),
        path("monitoring/now/", site.admin_view(_render_health), name="monitoring_now"),
    ]


@permission_required("monitoring.view_apirequest", raise_exception=True)
def _render_page(request: HttpRequest) -> HttpResponse:
    at, span = timezone.now(), request.GET.get("span", "")
    span = span if span in SPANS else "24h"
    context = {
        **admin.site.each_context(request),
        "title": "Monitoring",
        "span": span,
        "spans": SPANS,
        "health": health.latest(),
        "providers": _providers(request),
        **_history(at, span),
        "slowest": request_log.slowest_requests(at),
        "errors": request_log.recent_errors(at),
    }
    return TemplateResponse(request, "admin/monitoring/page.html", context)


@permission_required("monitoring.view_apirequest", raise_exception=True)
def _render_health(request: HttpRequest) -> HttpResponse:
    """The live part of the System health card: the latest cached measurement, which all open tabs share."""
    return render(request, "admin/monitoring/now.html", {"health": health.latest()})


def _providers(request: HttpRequest) -> provider_health.ProviderHealthReport | None:
    return provider_health.latest() if request.user.has_perm("billing.view_usagelog") else None


def _history(at: datetime, span: str) -> dict[str, Any]:
    steps = history.last_24_hours(at) if span == "24h" else history.last_30_days(at)
    total, routes = traffic.route_traffic_from_hours(steps[0].start, at)
    return {
        "requests_unit": "per hour" if span == "24h" else "per day",
        "history": [_history_row(step) for step in reversed(steps)],
        "total": total,
        "routes": routes[:MAX_ROUTES],
        "more_routes": max(len(routes) - MAX_ROUTES, 0),
    }


def _history_row(step: TrafficInterval) -> HistoryRow:
    query = urlencode({"time": filters.format_range(step.start, step.end)})
    return HistoryRow(step, step.label, f"{reverse('admin:monitoring_apirequest_changelist')}?{query}")
