"""`GET usage/trends/` and `GET dashboard/`: the figures of the dashboard pages as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from billing.alerts import alert_text
from billing.api import plans as plans_api
from billing.api import representations, schema, schema_dashboards, subscriptions
from billing.api.api_view import ApiView
from billing.api.parameters import AccountParameter, PeriodParameters
from billing.api.usage import resolve_period
from billing.dashboards import dashboards
from billing.dashboards.dashboards import Dashboard
from billing.errors import Refused
from billing.reports import trends
from billing.reports.trends import Trend
from lib import money, query_string
from providers import rulebook


class TrendParameters(AccountParameter, frozen=True):
    months: Annotated[int, Meta(ge=1, le=trends.MAX_MONTHS, description="Default: 6.")] | None = None
    days: Annotated[int, Meta(ge=1, le=trends.MAX_DAYS, description="Instead of months.")] | None = None


class TrendsView(ApiView):
    """Returns usage by usage period or by local day.

    Without `account`, a service key gets the whole platform by UTC month or day.
    """

    required_scope = "read"
    query_parameters = TrendParameters

    @schema.operation(
        operation_id="usage_trends",
        summary="Usage over time",
        responses={200: schema_dashboards.TREND, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        span, account, at = query_string.parse(request.query_params, TrendParameters), self.account, self.at
        if span.days and span.months:
            raise Refused("invalid", "Use either months or days, not both.", "days")
        labels = rulebook.current().labels
        if span.days:
            trend = trends.by_day(account, span.days, at, labels)
        else:
            trend = trends.by_month(account, span.months or dashboards.DEFAULT_MONTHS, at, labels)
        return Response({"account": account.external_id if account else None, **trend_as_json(trend)})


class DashboardView(ApiView):
    """Returns all dashboard figures of an account's usage period in one response.

    Without `account`, a service key gets the whole platform.
    """

    required_scope = "read"
    query_parameters = PeriodParameters

    @schema.operation(
        operation_id="dashboard",
        summary="Dashboard",
        responses={200: schema_dashboards.DASHBOARD, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        period = resolve_period(request, self.account, self.at)
        return Response(_dashboard_as_json(dashboards.load(self.account, period, self.at)))


def trend_as_json(trend: Trend) -> dict[str, Any]:
    return {
        "unit": trend.unit,
        "periods": trend.step_names,
        **_series_as_json(trend.total),
        "providers": {series.key: {"label": series.label, **_series_as_json(series)} for series in trend.providers},
    }


def _series_as_json(series: trends.TrendSeries) -> dict[str, Any]:
    return {
        "calls": series.calls,
        "tokens": series.tokens,
        "cost_usd": [money.exact_usd_or_none(nano) for nano in series.cost_nano],
    }


def _dashboard_as_json(dashboard: Dashboard) -> dict[str, Any]:
    account = dashboard.account.external_id if dashboard.account else None
    return {
        "summary": representations.summary_as_json(dashboard.summary),
        "trends": {"account": account, **trend_as_json(dashboard.months)},
        "days": {"account": account, **trend_as_json(dashboard.days)},
        "subscription": subscriptions.subscription_as_json(
            dashboard.account, dashboard.plan, dashboard.subscription, dashboard.as_of
        )
        if dashboard.account and dashboard.plan
        else None,
        "limits": plans_api.limits_as_json(status.limit for status in dashboard.limit_statuses),
        "meters": plans_api.meters_as_json(dashboard.limit_statuses),
        "alerts": [alert_text.as_json(alert) for alert in dashboard.alerts],
        "projection": {
            "cost_usd": money.exact_usd_or_none(dashboard.projection.cost_nano),
            "percent": dashboard.projection.percent,
            "days_left": dashboard.projection.days_left,
            "exhausted_on": dashboard.projection.exhausted_on,
        },
        "as_of": dashboard.as_of,
    }
