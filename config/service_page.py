"""The admin's Service page: the first questions of somebody on call, with answers and links.

The figures come from lib.readiness, monitoring and billing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from billing.dashboards import service_figures
from billing.reports import provider_health
from lib import readiness
from monitoring import health, job_states, recorder, traffic

DAY = timedelta(days=1)


def urls(site: admin.AdminSite) -> list[Any]:
    return [path("service/", site.admin_view(_render_page), name="service")]


@permission_required("monitoring.view_jobrun", raise_exception=True)
def _render_page(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    context = {
        **admin.site.each_context(request),
        "title": "Service",
        "at": at,
        "health": health.latest(),
        "findings": readiness.run_checks(),
        **_jobs(at),
        "dropped": _dropped(at),
        "dropped_here": recorder.dropped(),
        **(_billing_figures(at) if request.user.has_perm("billing.view_usagelog") else {}),
    }
    return TemplateResponse(request, "admin/service.html", context)


def _jobs(at: datetime) -> dict[str, Any]:
    """The state of every job, and by name those of verify_ledger and find_undetected."""
    states = job_states.load_states(at)
    by_name = {state.name: state for state in states}
    return {
        "jobs": states,
        "bad_jobs": sum(state.has_problem for state in states),
        "ledger": by_name.get("verify_ledger"),
        "undetected": by_name.get("find_undetected"),
    }


def _dropped(at: datetime) -> int:
    """Requests not logged in the last 24 hours, in all processes."""
    return sum(hour.dropped for hour in traffic.hourly_traffic(at - DAY, at).values())


def _billing_figures(at: datetime) -> dict[str, Any]:
    return {"billing": service_figures.figures(at), "providers": provider_health.latest()}
