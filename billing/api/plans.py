"""`GET plans/`: the plans on offer, for everybody; and how a plan and an account's limits look in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api import schema, schema_limits
from billing.limits.decisions import LimitStatus
from billing.models import Per
from billing.plans import plans
from billing.plans.meters import PER_DAY, Limit, told
from billing.plans.plans import Plan
from lib import money
from lib.percent import percentage


class PlansView(APIView):
    """The plans that are offered, each in its newest version."""

    @extend_schema(
        operation_id="plans",
        summary="List the plans",
        auth=[],
        responses={200: schema.obj(results=schema.array(schema_limits.PLAN)), 429: schema.ERROR, 503: schema.ERROR},
    )
    def get(self, request: Request) -> Response:
        catalog = plans.current()
        offered = [one for one in catalog.latest.values() if one.active]
        return Response({"results": [_offer(one, plans.limits_of(one, catalog)) for one in offered]})


def plan(one: Plan) -> dict[str, Any]:
    return {
        "slug": one.slug,
        "name": one.name,
        "version": one.version,
        "price_monthly_usd": money.exact_usd(one.price_monthly_nano),
        "price_yearly_usd": money.exact_usd(one.price_yearly_nano),
    }


def limits(all_of_them: Iterable[Limit]) -> dict[str, Any]:
    """Every meter by its slug, and daily limits beside: null is unlimited, 0 not allowed."""
    return {
        limit.meter.slug if limit.per == Per.PERIOD else limit.meter.slug + PER_DAY: told(
            limit.meter.unit, limit.amount
        )
        for limit in all_of_them
    }


def meters(standings: Sequence[LimitStatus]) -> list[dict[str, Any]]:
    """Where an account stands, one line a limit."""
    return [
        {
            "meter": one.limit.meter.slug,
            "per": one.limit.per,
            "limit": told(one.limit.meter.unit, one.limit.amount),
            "used": told(one.limit.meter.unit, one.used),
            "reserved": told(one.limit.meter.unit, one.reserved),
            "remaining": told(one.limit.meter.unit, one.remaining),
            "percent": percentage(one.used, one.limit.amount or 0),
            "resets_at": one.resets_at,
        }
        for one in standings
    ]


def _offer(one: Plan, allowed: Iterable[Limit]) -> dict[str, Any]:
    return {**plan(one), "limits": limits(allowed)}
