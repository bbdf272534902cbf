"""`GET usage/trends/` and `GET dashboard/`: what the pages show, as JSON."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.alerts import alert_text
from billing.api import account_scope, representations, schema, schema_dashboards, subscriptions
from billing.api import plans as plan_shapes
from billing.api.usage import period_of
from billing.dashboards import dashboards
from billing.dashboards.dashboards import Dashboard
from billing.errors import Refused
from billing.reports import trends
from billing.reports.trends import Trend
from lib import money
from providers import rulebook

ACCOUNT = OpenApiParameter("account", OpenApiTypes.STR, description="The caller's own id of the account.")
PERIOD = OpenApiParameter("period", OpenApiTypes.STR, description="`2026-11`; default: the current period.")


class TrendsView(APIView):
    """Usage by usage period, or by local day. Without `account`, a service key sees the platform by UTC month or day."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_trends",
        summary="Usage over time",
        parameters=[
            ACCOUNT,
            OpenApiParameter("months", OpenApiTypes.INT, description=f"1 to {trends.MOST_MONTHS}; default: 6."),
            OpenApiParameter("days", OpenApiTypes.INT, description=f"1 to {trends.MOST_DAYS}, in place of months."),
        ],
        responses={200: schema_dashboards.TREND, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> Response:
        query, at = request.query_params, timezone.now()
        account = account_scope.account_of(request, query.get("account"))
        days, months = _count(query, "days", trends.MOST_DAYS), _count(query, "months", trends.MOST_MONTHS)
        if days and months:
            raise Refused("invalid", "Either months or days.", "days")
        labels = rulebook.current().labels
        if days:
            found = trends.by_day(account, days, at, labels)
        else:
            found = trends.by_month(account, months or dashboards.MONTHS, at, labels)
        return Response({"account": account.external_id if account else None, **trend(found)})


class DashboardView(APIView):
    """Everything that a page shows of an account's period, in one answer; without `account`, of the whole platform."""

    required_scope = "read"

    @extend_schema(
        operation_id="dashboard",
        summary="Dashboard",
        parameters=[ACCOUNT, PERIOD],
        responses={200: schema_dashboards.DASHBOARD, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> Response:
        account, at = account_scope.account_of(request, request.query_params.get("account")), timezone.now()
        return Response(_told(dashboards.of(account, period_of(request, account), at)))


def trend(one: Trend) -> dict[str, Any]:
    return {
        "unit": one.unit,
        "periods": one.names,
        **_steps(one.whole),
        "providers": {part.key: {"label": part.label, **_steps(part)} for part in one.providers},
    }


def _steps(one: trends.Series) -> dict[str, Any]:
    return {
        "calls": one.calls,
        "tokens": one.tokens,
        "cost_usd": [money.exact_usd_or_none(nano) for nano in one.cost_nano],
    }


def _told(one: Dashboard) -> dict[str, Any]:
    account = one.account.external_id if one.account else None
    return {
        "summary": representations.summary(one.summary),
        "trends": {"account": account, **trend(one.months)},
        "days": {"account": account, **trend(one.days)},
        "subscription": subscriptions.subscription(one.account, one.plan, one.subscription, one.as_of)
        if one.account and one.plan
        else None,
        "limits": plan_shapes.limits(standing.limit for standing in one.standings),
        "meters": plan_shapes.meters(one.standings),
        "alerts": [alert_text.told(alert) for alert in one.alerts],
        "projection": {
            "cost_usd": money.exact_usd_or_none(one.projection.cost_nano),
            "percent": one.projection.percent,
            "days_left": one.projection.days_left,
            "exhausted_on": one.projection.exhausted_on,
        },
        "as_of": one.as_of,
    }


def _count(query: Any, name: str, most: int) -> int | None:  # noqa: ANN401 - Django's QueryDict
    text = query.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= most):
        raise Refused("invalid", f"A whole number from 1 to {most}.", name)
    return int(text)
