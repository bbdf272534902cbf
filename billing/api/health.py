"""`GET health/providers/`: how each actual provider answered in the last minutes, as the operators' chips show it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api import account_scope, schema
from billing.reports import provider_health
from billing.reports.provider_health import LastError, ProviderHealth

STATUS = {"type": "string", "enum": ["healthy", "warning", "critical", "unknown"]}
NUMBER = schema.null({"type": "number"})
COUNT = schema.null({"type": "integer"})
PROVIDER = schema.obj(
    provider=schema.TEXT,
    label=schema.TEXT,
    status=STATUS,
    reason=schema.null({"type": "string", "enum": ["no_requests"]}),
    recent_requests=COUNT,
    recent_errors=COUNT,
    error_rate=NUMBER,
    requests_per_minute=NUMBER,
    p50_ms=NUMBER,
    p95_ms=NUMBER,
    p99_ms=NUMBER,
    last_error=schema.null(schema.obj(at=schema.TIME, status_code=COUNT, message=schema.TEXT)),
)
ANSWER = schema.obj(
    reason=schema.null({"type": "string", "enum": ["not_measured"]}),
    window_seconds=schema.INT,
    as_of=schema.TIME,
    results=schema.array(PROVIDER),
)


class ProvidersHealthView(APIView):
    """Worst first. An account's caller sees the state of those that it used in the last 31 days, without what others sent."""

    required_scope = "read"

    @extend_schema(
        operation_id="provider_health",
        summary="Health of each actual provider in the last minutes",
        tags=["health"],
        responses={200: ANSWER, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> Response:
        account, at = account_scope.caller_of(request).account, timezone.now()
        found = provider_health.measured(at)
        shown = found.providers
        if account:
            used = provider_health.used_by(account.id, at)
            shown = tuple(one for one in shown if one.provider in used)
        return Response(
            {
                "reason": found.reason,
                "window_seconds": found.window_seconds,
                "as_of": found.as_of,
                "results": [_told(one, found.window_seconds, whole=account is None) for one in shown],
            }
        )


def _told(one: ProviderHealth, seconds: int, *, whole: bool) -> dict[str, Any]:
    return {
        "provider": one.provider,
        "label": one.label,
        "status": one.status,
        "reason": one.reason,
        "recent_requests": one.calls if whole else None,
        "recent_errors": one.errors if whole else None,
        "error_rate": one.error_rate,
        "requests_per_minute": round(60 * one.calls / seconds, 2) if whole else None,
        "p50_ms": one.p50_ms,
        "p95_ms": one.p95_ms,
        "p99_ms": one.p99_ms,
        "last_error": _error(one.last_error) if whole and one.last_error else None,
    }


def _error(last: LastError) -> dict[str, Any]:
    return {"at": last.at, "status_code": last.status_code, "message": last.message}
