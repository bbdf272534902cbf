"""`GET health/system/`: the same figures as the admin's System health card."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema
from billing.api.api_view import ApiView
from monitoring import health
from monitoring.traffic import RouteTraffic


class RouteSerializer(serializers.Serializer[RouteTraffic]):
    route = serializers.CharField(source="name")
    requests = serializers.IntegerField(source="traffic.requests")
    errors = serializers.IntegerField(source="traffic.errors")  # type: ignore[assignment]  # DRF takes fields off the class
    error_rate = serializers.FloatField(source="traffic.error_rate", allow_null=True)
    p95_ms = serializers.FloatField(source="traffic.p95_ms", allow_null=True)


class SystemHealthSerializer(serializers.Serializer[health.SystemHealth]):
    status = serializers.ChoiceField(choices=["healthy", "warning", "critical", "unknown"])
    reason = serializers.ChoiceField(choices=["no_requests", "not_measured"], allow_null=True)
    recent_requests = serializers.IntegerField(allow_null=True)
    recent_errors = serializers.IntegerField(allow_null=True)
    error_rate = serializers.FloatField(allow_null=True, help_text="In per cent, with two decimals.")
    window_seconds = serializers.IntegerField(help_text="Length of the window: the full minutes and the current one.")
    requests_per_minute = serializers.FloatField(allow_null=True)
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)
    as_of = serializers.DateTimeField()
    client_errors = serializers.IntegerField(allow_null=True, help_text="Responses with status 400 to 499.")
    server_errors = serializers.IntegerField(allow_null=True, help_text="Responses with status 500 and above.")
    dropped_requests = serializers.IntegerField(
        allow_null=True,
        help_text="Requests that were answered but not logged, in all processes; included in no other figure.",
    )
    busiest_routes = RouteSerializer(many=True, help_text="Most requests first.")
    worst_routes = RouteSerializer(many=True, help_text="Routes with errors, most errors first.")


class SystemHealthView(ApiView):
    """Returns the figures of the System health card: requests, errors and response times of the last minutes."""

    required_scope = "read"

    @schema.operation(summary="System health of the last minutes", responses=SystemHealthSerializer, tags=["health"])
    def get(self, _request: Request) -> Response:
        return Response(SystemHealthSerializer(health.measure(self.at)).data)
