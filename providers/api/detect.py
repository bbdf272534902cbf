"""`GET providers/` and `POST providers/detect/`: who there is, and who would be named for a call, from the same book."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from providers import rulebook
from providers.detection import Call
from providers.models import Provider

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _plain(text: str) -> None:
    if CONTROL.search(text):
        raise serializers.ValidationError("Control characters have no place here.", code="control_character")


def _text(longest: int, *, required: bool = False, help_text: str = "") -> serializers.CharField:
    """Null says as little as an empty text does."""
    extra: dict[str, Any] = {} if required else {"default": "", "allow_blank": True, "allow_null": True}
    return serializers.CharField(
        max_length=longest, required=required, help_text=help_text, validators=[_plain], trim_whitespace=False, **extra
    )


class DetectQuestion(serializers.Serializer[Any]):
    provider = _text(50, required=True, help_text="The declared provider: a vendor, a modality, or any other label.")
    model = _text(200)
    endpoint = _text(2000, help_text="A path or a whole URL; query, fragment and userinfo are not looked at.")
    served_by = _text(100, help_text="The provider, where the caller knows it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError(
                {name: serializers.ErrorDetail("Unknown field.", "unknown_field") for name in unknown}
            )
        return attrs


class DetectAnswer(serializers.Serializer[Any]):
    actual_provider = serializers.CharField()
    label = serializers.CharField(help_text="The provider's shown name.")  # type: ignore[assignment] # DRF's own name
    confidence = serializers.ChoiceField(choices=["exact", "strong", "weak", "fallback"])
    category = serializers.CharField()
    rule = serializers.CharField(help_text="The rule that named the provider.")
    evidence = serializers.CharField()


class ProviderAnswer(serializers.ModelSerializer[Provider]):
    provider = serializers.CharField(source="slug")
    label = serializers.CharField(source="name")  # type: ignore[assignment] # DRF's own name

    class Meta:
        model = Provider
        fields = ["provider", "label", "aliases", "is_gateway"]


class ProvidersAnswer(serializers.Serializer[Any]):
    results = ProviderAnswer(many=True)


class ProvidersView(APIView):
    required_scope = "read"

    @extend_schema(responses=ProvidersAnswer)
    def get(self, _request: Request) -> Response:
        """Every provider that calls can be attributed to."""
        return Response(ProvidersAnswer({"results": Provider.objects.all()}).data)


class DetectView(APIView):
    required_scope = "read"

    @extend_schema(request=DetectQuestion, responses=DetectAnswer)
    def post(self, request: Request) -> Response:
        """Who would be named as the actual provider of such a call, and why. Writes nothing."""
        question = DetectQuestion(data=request.data)
        question.is_valid(raise_exception=True)
        asked = {name: value or "" for name, value in question.validated_data.items()}
        book = rulebook.current()
        found = book.detect(Call(asked["provider"], asked["model"], asked["endpoint"], asked["served_by"]))
        return Response(
            {
                "actual_provider": found.actual_provider,
                "label": book.label(found.actual_provider),
                "confidence": found.confidence,
                "category": found.category,
                "rule": found.rule,
                "evidence": found.evidence,
            }
        )
