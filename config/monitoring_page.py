"""The operators' Monitoring page: how the service and the providers do now, how it went, and single requests to look into.

Every figure comes from monitoring and from billing.reports.provider_health; this module only arranges them.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from monitoring import charts, filters, health, history, request_log, traffic
from monitoring.history import Step

MOST_ROUTES = 50
SPANS = {"24h": "24 hours", "30d": "30 days"}


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the history as the table shows it, and the requests behind it."""

    step: Step
    name: str
    requests_url: str


def urls(site: admin.AdminSite) -> list[Any]:
    return [
        path("monitoring/", site.admin_view(_page), name="monitoring"),
        path("monitoring/now/", site.admin_view(_now), name="monitoring_now"),
    ]


@permission_required("monitoring.view_apirequest", raise_exception=True)
def _page(request: HttpRequest) -> HttpResponse:
    at, span = timezone.now(), request.GET.get("span", "")
    span = span if span in SPANS else "24h"
    context = {
        **admin.site.each_context(request),
        "title": "Monitoring",
        "span": span,
        "spans": SPANS,
        "health": health.snapshot(),
        "providers": _providers(request),
        **_history(at, span),
        "slowest": request_log.slowest(at),
        "errors": request_log.recent_errors(at),
    }
    return TemplateResponse(request, "admin/monitoring/page.html", context)


@permission_required("monitoring.view_apirequest", raise_exception=True)
def _now(request: HttpRequest) -> HttpResponse:
    """The live part of the page's first card; one measurement serves every open tab."""
    return render(request, "admin/monitoring/now.html", {"health": health.snapshot()})


def _providers(request: HttpRequest) -> provider_health.Providers | None:
    return provider_health.snapshot() if request.user.has_perm("billing.view_usagelog") else None


def _history(at: datetime, span: str) -> dict[str, Any]:
    steps = history.hours(at) if span == "24h" else history.days(at)
    whole, routes = traffic.routes_by_hours(steps[0].start, at)
    return {
        "charts": _charts(steps, "per hour" if span == "24h" else "per day"),
        "lines": [_line(step) for step in reversed(steps)],
        "whole": whole,
        "routes": routes[:MOST_ROUTES],
        "more_routes": max(len(routes) - MOST_ROUTES, 0),
    }


def _charts(steps: Sequence[Step], pace: str) -> list[charts.Chart]:
    return [
        charts.of("Error rate", "%", steps, lambda step: step.traffic.error_rate, toned=True),
        charts.of("Requests", pace, steps, lambda step: step.traffic.requests),
        charts.of("p95 response time", "ms", steps, lambda step: step.traffic.p95_ms),
    ]


def _line(step: Step) -> Line:
    query = urlencode({"time": filters.between(step.start, step.end)})
    return Line(step, charts.name(step), f"{reverse('admin:monitoring_apirequest_changelist')}?{query}")
