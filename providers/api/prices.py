"""`GET prices/`: what each provider asks for a model on a day, from the same book that rates the events."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib import money
from providers import price_book
from providers.costing import PricedModel, Rate

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].+)?")


class PriceQuery(serializers.Serializer[Any]):
    provider = serializers.CharField(max_length=50, required=False, allow_blank=True, default="")
    model = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    at = serializers.CharField(
        max_length=40, required=False, allow_blank=True, default="", help_text="A day, or a time with an offset; now."
    )

    def validate_provider(self, value: str) -> str:
        return value.lower()

    def validate_at(self, value: str) -> date:
        """The UTC day of the moment."""
        if not value:
            return timezone.now().date()
        try:
            return _utc_day(value)
        except (ValueError, OverflowError) as error:
            raise serializers.ValidationError("Not a day (2026-11-22) or a time with an offset.") from error


class RateAnswer(serializers.Serializer[Rate]):
    unit = serializers.CharField()
    variant = serializers.CharField(help_text="Conditions such as resolution=720p; empty: any.")
    above = serializers.IntegerField(help_text="Holds where the call's total input is strictly above this.")
    rate_usd_per_million = serializers.SerializerMethodField()

    def get_rate_usd_per_million(self, rate: Rate) -> str:
        return money.exact_usd(rate.nano_per_million)


class PriceAnswer(serializers.Serializer[PricedModel]):
    id = serializers.IntegerField()
    provider = serializers.CharField()
    model = serializers.CharField(source="pattern", help_text="An id, or a glob.")
    valid_from = serializers.DateField()
    source = serializers.CharField(help_text="Where the figure was read.")  # type: ignore[assignment] # DRF's own name
    matched_by = serializers.SerializerMethodField()
    rates = RateAnswer(many=True)

    def get_matched_by(self, price: PricedModel) -> str | None:
        """exact, alias or glob; null where no model was asked for."""
        return price.matched_by if self.context["model"] else None


class PricesAnswer(serializers.Serializer[Any]):
    at = serializers.DateField(help_text="The UTC day that the prices are of.")
    results = PriceAnswer(many=True)


class PricesView(APIView):
    required_scope = "read"

    @extend_schema(parameters=[PriceQuery], responses=PricesAnswer)
    def get(self, request: Request) -> Response:
        """Prices of a day: of one provider or all, for one model (as an event would be priced) or all."""
        query = PriceQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        results = price_book.current().asked(asked["at"], asked["provider"], asked["model"])
        return Response(PricesAnswer({"at": asked["at"], "results": results}, context=asked).data)


def _utc_day(value: str) -> date:
    """Raises ValueError where it is neither a plain day nor a time with an offset."""
    if not MOMENT.fullmatch(value):
        raise ValueError(value)
    if len(value) == len("2026-11-22"):
        return date.fromisoformat(value)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(value)
    return moment.astimezone(UTC).date()
