"""`GET health/providers/`: the health of each actual provider in the last minutes."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema
from billing.api.api_view import ApiView
from billing.reports import provider_health
from billing.reports.provider_health import LastError, ProviderHealth, ProviderHealthReport

STATUS = {"type": "string", "enum": ["healthy", "warning", "critical", "unknown"]}
NUMBER = schema.nullable({"type": "number"})
COUNT = schema.nullable({"type": "integer"})
PROVIDER = schema.obj(
    provider=schema.TEXT,
    label=schema.TEXT,
    status=STATUS,
    reason=schema.nullable({"type": "string", "enum": ["no_requests"]}),
    recent_requests=COUNT,
    recent_errors=COUNT,
    error_rate=NUMBER,
    requests_per_minute=NUMBER,
    p50_ms=NUMBER,
    p95_ms=NUMBER,
    p99_ms=NUMBER,
    last_error=schema.nullable(schema.obj(at=schema.TIME, status_code=COUNT, message=schema.TEXT)),
)
ANSWER = schema.obj(
    reason=schema.nullable({"type": "string", "enum": ["not_measured"]}),
    window_seconds=schema.INT,
    as_of=schema.TIME,
    results=schema.array(PROVIDER),
)


class ProvidersHealthView(ApiView):
    """Lists providers with their health, worst first.

    A caller of one account gets the providers it used in the last 31 days. Request counts and the last error are null
    then, because they include other accounts.
    """

    required_scope = "read"

    @schema.operation(
        operation_id="provider_health",
        summary="Health of each actual provider in the last minutes",
        tags=["health"],
        responses={200: ANSWER, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        account, at = self.caller.account, self.at
        report = provider_health.measure(at)
        providers = report.providers
        if account:
            used = provider_health.providers_used_by(account.id, at)
            providers = tuple(health for health in providers if health.provider in used)
        return Response(
            {
                "reason": report.reason,
                "window_seconds": report.window_seconds,
                "as_of": report.as_of,
                "results": [_health_as_json(health, report, platform=account is None) for health in providers],
            }
        )


def _health_as_json(health: ProviderHealth, report: ProviderHealthReport, *, platform: bool) -> dict[str, Any]:
    return {
        "provider": health.provider,
        "label": health.label,
        "status": health.status,
        "reason": health.reason,
        "recent_requests": health.calls if platform else None,
        "recent_errors": health.errors if platform else None,
        "error_rate": health.error_rate,
        "requests_per_minute": round(60 * health.calls / report.window_seconds, 2) if platform else None,
        "p50_ms": health.p50_ms,
        "p95_ms": health.p95_ms,
        "p99_ms": health.p99_ms,
        "last_error": _last_error_as_json(health.last_error) if platform and health.last_error else None,
    }


def _last_error_as_json(error: LastError) -> dict[str, Any]:
    return {"at": error.at, "status_code": error.status_code, "message": error.message}
