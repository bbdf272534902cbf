"""Probes for load balancers: whether the process is alive (`/livez`) and ready for requests (`/readyz`)."""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lib import readiness


@require_safe
@never_cache
def livez(_request: HttpRequest) -> HttpResponse:
    """Checks nothing, not even the database: restarting this process would not bring the database back."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """The result of every check; status 503 if one is critical. With a warning, the process still takes requests."""
    results = readiness.run_checks()
    status = readiness.worst_status(results.values())
    body = {"status": status, "checks": {name: asdict(result) for name, result in results.items()}}
    return JsonResponse(body, status=503 if status == "critical" else 200)
