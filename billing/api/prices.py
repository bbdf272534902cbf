"""`GET prices/`: the prices of a day, from the same price book that rates usage events."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema
from billing.api.api_view import ApiView
from lib import money, query_string
from lib.query_string import BadParameter, text
from providers import price_book
from providers.costing import PricedModel, Rate

DAY_OR_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].+)?")


class PriceParameters(Struct, frozen=True):
    provider: Annotated[str, text(50)] = ""
    model: Annotated[str, text(200)] = ""
    at: Annotated[str, Meta(max_length=40, description="A date, or a time with a UTC offset. Default: now.")] = ""


class RateSerializer(serializers.Serializer[Rate]):
    unit = serializers.CharField()
    variant = serializers.CharField(help_text="Conditions such as resolution=720p. Empty: any.")
    above = serializers.IntegerField(help_text="Applies if the call's total input is strictly above this many tokens.")
    rate_usd_per_million = serializers.SerializerMethodField()

    def get_rate_usd_per_million(self, rate: Rate) -> str:
        return money.exact_usd(rate.nano_per_million)


class PriceSerializer(serializers.Serializer[PricedModel]):
    id = serializers.IntegerField()
    provider = serializers.CharField()
    model = serializers.CharField(source="pattern", help_text="A model id or a glob.")
    valid_from = serializers.DateField()
    source = serializers.CharField(help_text="Where the price was found.")  # type: ignore[assignment] # DRF's own name
    matched_by = serializers.SerializerMethodField()
    holds_for = serializers.SerializerMethodField()
    rates = RateSerializer(many=True)

    def get_matched_by(self, price: PricedModel) -> str | None:
        """exact, alias or glob; null if no model was requested."""
        return price.matched_by if self.context["model"] else None

    def get_holds_for(self, price: PricedModel) -> list[str]:
        """Conditions of a call, such as service_tier, that do not change this price."""
        return sorted(price.holds_for)


class PriceListSerializer(serializers.Serializer[Any]):
    at = serializers.DateField(help_text="The UTC day of the prices.")
    results = PriceSerializer(many=True)


class PricesView(ApiView):
    """Lists the prices of a UTC day, of one provider or all, and for one model or all.

    With `model`, returns the price that an event of this model would get.
    """

    required_scope = "read"
    query_parameters = PriceParameters

    @schema.operation(summary="List prices", responses=PriceListSerializer)
    def get(self, request: Request) -> Response:
        stated = query_string.parse(request.query_params, PriceParameters)
        day = _utc_day(stated.at) if stated.at else self.at.date()
        results = price_book.current().prices_on(day, stated.provider.lower(), stated.model)
        return Response(PriceListSerializer({"at": day, "results": results}, context={"model": stated.model}).data)


def _utc_day(value: str) -> date:
    """Parses a date, or a time with an offset, to a UTC day. Raises BadParameter for anything else."""
    try:
        if not DAY_OR_TIME.fullmatch(value):
            raise ValueError(value)
        if len(value) == len("2026-11-22"):
            return date.fromisoformat(value)
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError(value)
        return time.astimezone(UTC).date()
    except (ValueError, OverflowError) as error:
        detail = "Enter a date (2026-11-22) or a time with a UTC offset."
        raise BadParameter("invalid", detail, "at") from error
