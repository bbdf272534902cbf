"""`GET health/system/`: the same figures as the operator's card."""

from __future__ import annotations

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import health


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


class SystemHealthView(APIView):
    required_scope = "read"

    @extend_schema(summary="System health of the last minutes", responses=SystemHealthSerializer, tags=["health"])
    def get(self, _request: Request) -> Response:
        return Response(SystemHealthSerializer(health.system(now())).data)
