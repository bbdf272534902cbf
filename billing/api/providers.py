"""`GET providers/` lists the providers; `POST providers/detect/` detects the provider of a call, storing nothing."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema
from billing.api.api_view import ApiView
from providers import attribution, rulebook
from providers.detection import Call
from providers.models import Provider

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _reject_control_characters(text: str) -> None:
    if CONTROL_CHARACTERS.search(text):
        raise serializers.ValidationError("Control characters are not allowed.", code="control_character")


def _text_field(max_length: int, *, required: bool = False, help_text: str = "") -> serializers.CharField:
    """Builds a text field; if it is optional, null means the same as an empty text."""
    extra: dict[str, Any] = {} if required else {"default": "", "allow_blank": True, "allow_null": True}
    return serializers.CharField(
        max_length=max_length,
        required=required,
        help_text=help_text,
        validators=[_reject_control_characters],
        trim_whitespace=False,
        **extra,
    )


class DetectionRequestSerializer(serializers.Serializer[Any]):
    provider = _text_field(
        50, required=True, help_text="The declared provider: a vendor, a modality, or any other label."
    )
    model = _text_field(200)
    endpoint = _text_field(2000, help_text="A path or a full URL. Query, fragment and user info are ignored.")
    served_by = _text_field(100, help_text="The provider, if you know it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError(
                {name: serializers.ErrorDetail("Unknown field.", "unknown_field") for name in unknown}
            )
        return attrs


class DetectionSerializer(serializers.Serializer[Any]):
    actual_provider = serializers.CharField()
    label = serializers.CharField(help_text="The provider's display name.")  # type: ignore[assignment] # DRF's own name
    confidence = serializers.ChoiceField(choices=["exact", "strong", "weak", "fallback"])
    category = serializers.CharField()
    rule = serializers.CharField(help_text="The rule that identified the provider.")
    evidence = serializers.CharField()


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    provider = serializers.CharField(source="slug")
    label = serializers.CharField(source="name")  # type: ignore[assignment] # DRF's own name

    class Meta:
        model = Provider
        fields = ["provider", "label", "aliases", "is_gateway"]


class ProviderListSerializer(serializers.Serializer[Any]):
    results = ProviderSerializer(many=True)


class ProvidersView(ApiView):
    """Lists all providers that calls can be attributed to."""

    required_scope = "read"

    @schema.operation(summary="List providers", responses=ProviderListSerializer)
    def get(self, _request: Request) -> Response:
        return Response(ProviderListSerializer({"results": Provider.objects.all()}).data)


class DetectView(ApiView):
    """Returns the actual provider that such a call would be attributed to, and why. Nothing is stored."""

    required_scope = "read"

    @schema.operation(
        summary="Detect a provider",
        request=DetectionRequestSerializer,
        responses=DetectionSerializer,
        example={
            "provider": "openai",
            "model": "openai/gpt-4o",
            "endpoint": "https://openrouter.ai/api/v1/chat/completions",
        },
    )
    def post(self, request: Request) -> Response:
        serializer = DetectionRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        call = {name: value or "" for name, value in serializer.validated_data.items()}
        rules, prices = attribution.current_books()
        evidence = Call(call["provider"], call["model"], call["endpoint"], call["served_by"])
        detection = attribution.detect(evidence, rules, prices)
        return Response(
            {
                "actual_provider": detection.actual_provider,
                "label": rulebook.provider_label(detection.actual_provider, rules.labels),
                "confidence": detection.confidence,
                "category": detection.category,
                "rule": detection.rule,
                "evidence": detection.evidence,
            }
        )
