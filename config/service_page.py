"""The operators' Service page: what somebody on call asks first, each question with its answer and where to go on.

Every figure comes from lib.readiness, monitoring and billing; this module only arranges them.
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
from lib import readiness as checks
from monitoring import health, job_states, recorder, traffic

DAY = timedelta(days=1)


def urls(site: admin.AdminSite) -> list[Any]:
    return [path("service/", site.admin_view(_page), name="service")]


@permission_required("monitoring.view_jobrun", raise_exception=True)
def _page(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    context = {
        **admin.site.each_context(request),
        "title": "Service",
        "at": at,
        "health": health.snapshot(),
        "findings": checks.run(),
        **_jobs(at),
        "dropped": _dropped(at),
        "dropped_here": recorder.dropped(),
        **(_of_billing(at) if request.user.has_perm("billing.view_usagelog") else {}),
    }
    return TemplateResponse(request, "admin/service.html", context)


def _jobs(at: datetime) -> dict[str, Any]:
    """All jobs, and apart from them the two whose answers are asked for by name."""
    states = job_states.states(at)
    by_name = {state.name: state for state in states}
    return {
        "jobs": states,
        "bad_jobs": sum(state.is_bad for state in states),
        "ledger": by_name.get("verify_ledger"),
        "undetected": by_name.get("find_undetected"),
    }


def _dropped(at: datetime) -> int:
    """By every process, in the last day."""
    return sum(hour.dropped for hour in traffic.hours(at - DAY, at).values())


def _of_billing(at: datetime) -> dict[str, Any]:
    return {"billing": service_figures.figures(at), "providers": provider_health.snapshot()}
