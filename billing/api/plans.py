"""`GET plans/`: the offered plans, without authentication; and the JSON form of plans and limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema, schema_limits
from billing.api.api_view import ApiView
from billing.limits.decisions import LimitStatus
from billing.models import Per
from billing.plans import plans
from billing.plans.meters import DAILY_SUFFIX, Limit, amount_as_json
from billing.plans.plans import Plan
from lib import money
from lib.percent import percentage


class PlansView(ApiView):
    """Lists the offered plans in their latest version, with limits. No authentication is needed."""

    required_scope = None

    @schema.operation(
        operation_id="plans",
        summary="List the plans",
        auth=[],
        responses={200: schema.obj(results=schema.array(schema_limits.PLAN)), 429: schema.ERROR, 503: schema.ERROR},
    )
    def get(self, request: Request) -> Response:
        catalog = plans.current()
        offered = [plan for plan in catalog.latest.values() if plan.active]
        return Response({"results": [_offer_as_json(plan, plans.limits_of_plan(plan, catalog)) for plan in offered]})


def plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "slug": plan.slug,
        "name": plan.name,
        "version": plan.version,
        "price_monthly_usd": money.exact_usd(plan.price_monthly_nano),
        "price_yearly_usd": money.exact_usd(plan.price_yearly_nano),
    }


def limits_as_json(limits: Iterable[Limit]) -> dict[str, Any]:
    """Maps each meter's slug (plus a suffix for daily limits) to its limit: null is unlimited, 0 not allowed."""
    return {
        limit.meter.slug if limit.per == Per.PERIOD else limit.meter.slug + DAILY_SUFFIX: amount_as_json(
            limit.meter.unit, limit.amount
        )
        for limit in limits
    }


def meters_as_json(statuses: Sequence[LimitStatus]) -> list[dict[str, Any]]:
    return [
        {
            "meter": status.limit.meter.slug,
            "per": status.limit.per,
            "limit": amount_as_json(status.limit.meter.unit, status.limit.amount),
            "used": amount_as_json(status.limit.meter.unit, status.used),
            "reserved": amount_as_json(status.limit.meter.unit, status.reserved),
            "remaining": amount_as_json(status.limit.meter.unit, status.remaining),
            "percent": percentage(status.used, status.limit.amount or 0),
            "resets_at": status.resets_at,
        }
        for status in statuses
    ]


def _offer_as_json(plan: Plan, limits: Iterable[Limit]) -> dict[str, Any]:
    return {**plan_as_json(plan), "limits": limits_as_json(limits)}
