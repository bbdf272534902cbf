"""`GET health/system/`: the same figures as the operator's card."""

from __future__ import annotations

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import health
from monitoring.traffic import Route


class RouteSerializer(serializers.Serializer[Route]):
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
    error_rate = serializers.FloatField(allow_null=True, help_text="Per cent, two decimals.")
    window_seconds = serializers.IntegerField(help_text="The real span: the full minutes and the running one.")
    requests_per_minute = serializers.FloatField(allow_null=True)
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)
    as_of = serializers.DateTimeField()
    client_errors = serializers.IntegerField(allow_null=True, help_text="Answers of 400 to 499.")
    server_errors = serializers.IntegerField(allow_null=True, help_text="Answers of 500 and above.")
    dropped_requests = serializers.IntegerField(
        allow_null=True,
        help_text="Answered and not logged, by any process; told when they could be. In no other figure.",
    )
    busiest_routes = RouteSerializer(many=True, help_text="Most requests first.")
    worst_routes = RouteSerializer(many=True, help_text="Those with errors, most errors first.")


class SystemHealthView(APIView):
    required_scope = "read"

    @extend_schema(summary="System health of the last minutes", responses=SystemHealthSerializer, tags=["health"])
    def get(self, _request: Request) -> Response:
        return Response(SystemHealthSerializer(health.system(now())).data)
