"""What a load balancer asks: is the process alive (`/livez`), and may it be given requests (`/readyz`)?"""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lib import readiness


@require_safe
@never_cache
def livez(_request: HttpRequest) -> HttpResponse:
    """Touches nothing: a process that is restarted because the database is away would be away as well."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """Every check with its finding; 503 when one is critical. A warning still takes requests."""
    findings = readiness.run()
    status = readiness.worst(findings.values())
    body = {"status": status, "checks": {name: asdict(finding) for name, finding in findings.items()}}
    return JsonResponse(body, status=503 if status == "critical" else 200)
