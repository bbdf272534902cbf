"""Formats reports, trends and limits for the dashboard's cards and CSV files. Money is nano-USD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.http import HttpRequest, HttpResponseBase

from billing.limits.decisions import LimitStatus, format_amount
from billing.models import Per
from billing.plans import meters
from billing.plans.meters import Limit
from billing.reports.reports import BreakdownRow, ModelUsage, Summary
from billing.reports.trends import BY_MONTH, Trend
from lib import csv_stream, money
from lib.percent import percentage

MAX_SERIES = 8  # of a stacked chart; the last one sums up the rest. cards.css has as many colours


@dataclass(frozen=True, slots=True)
class Bar:
    """A provider's share of the spend; `width` in per cent of the largest share."""

    share: BreakdownRow
    width: int


class ChartRow(NamedTuple):
    """Cost of a day or month in nano-USD: per provider, and in total."""

    name: str
    costs: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Cost per day or month, stacked by provider."""

    slug: str  # of the CSV file
    title: str
    labels: tuple[str, ...]
    rows: tuple[ChartRow, ...]

    @property
    def empty(self) -> bool:
        return not any(row.total for row in self.rows)


@dataclass(frozen=True, slots=True)
class Ring:
    """Use of a limit. `percent` is None if it is unlimited or not allowed."""

    label: str
    text: str
    percent: Decimal | None
    filled: int  # 0 to 100
    state: str


class Table(NamedTuple):
    """Contents of a CSV file."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def provider_bars(summary: Summary) -> list[Bar]:
    largest = max((share.cost_nano for share in summary.providers), default=0)
    return [Bar(share, max(share.cost_nano, 0) * 100 // largest) for share in summary.providers if largest > 0]


def cost_chart(trend: Trend) -> Chart:
    parts = trend.largest(MAX_SERIES)
    costs = zip(
        trend.step_names, zip(*(part.cost_nano for part in parts), strict=True), trend.total.cost_nano, strict=True
    )
    by_month = trend.unit == BY_MONTH
    return Chart(
        "months" if by_month else "days",
        "Cost per month" if by_month else "Cost per day",
        tuple(part.label for part in parts),
        tuple(ChartRow(*row) for row in costs) if parts else (),
    )


def limit_rings(statuses: Sequence[LimitStatus]) -> list[Ring]:
    """Limited meters, fullest first; then unlimited ones; then those that are not allowed."""
    rings = [_limit_ring(status) for status in statuses]
    return sorted(rings, key=lambda ring: (ring.percent is None, ring.text == NOT_ALLOWED, -(ring.percent or 0)))


UNLIMITED, NOT_ALLOWED = "unlimited", "not in your plan"


def _limit_ring(status: LimitStatus) -> Ring:
    limit = status.limit
    label = f"{limit.meter.label}, daily" if limit.per == Per.DAY else limit.meter.label
    if limit.amount is None:
        return Ring(label, f"{_format_amount(limit, status.used)} used, {UNLIMITED}", None, 0, "")
    if limit.amount == 0 and limit.hard:
        return Ring(label, NOT_ALLOWED, None, 0, "")
    percent = percentage(status.used, limit.amount) or Decimal(0)  # a soft limit of 0 has a ring, too
    text = f"{_format_amount(limit, status.used)} of {_format_amount(limit, limit.amount)}"
    return Ring(label, text, percent, min(int(percent), 100), meters.usage_tone(percent))


def _format_amount(limit: Limit, amount: int) -> str:
    return money.format_usd(amount) if limit.meter.unit == "cost" else format_amount(limit, amount)


FIGURES = ("cost_usd", "percent", "calls", "errors", "tokens", "unpriced_calls", "estimated_calls")


def breakdown_table(summary: Summary) -> Table:
    """Spend by category and provider."""
    rows = [(category.label, part.label, *_figures(part)) for category in summary.categories for part in category.parts]
    return Table(("category", "provider", *FIGURES), rows)


def models_table(models: Sequence[ModelUsage]) -> Table:
    return Table(("provider", "model", *FIGURES), [(model.label, model.model, *_figures(model)) for model in models])


def _figures(row: BreakdownRow | ModelUsage) -> tuple[object, ...]:
    percent = "" if row.percent is None else row.percent
    counts = (row.calls, row.errors, row.tokens, row.unpriced_calls, row.estimated_calls)
    return money.exact_usd(row.cost_nano), percent, *counts


def chart_table(chart: Chart) -> Table:
    rows = [(row.name, *map(money.exact_usd, row.costs), money.exact_usd(row.total)) for row in chart.rows]
    return Table((chart.slug.removesuffix("s"), *chart.labels, "total_usd"), rows)


def csv_response(
    request: HttpRequest, summary: Summary, trends: Sequence[Trend], models: Sequence[ModelUsage] = ()
) -> HttpResponseBase | None:
    """The table named by `?csv=` as an attachment; None without a valid name."""
    name = request.GET.get("csv", "")
    tables: dict[str, Callable[[], Table]] = {
        "breakdown": partial(breakdown_table, summary),
        "models": partial(models_table, models),
    }
    for chart in map(cost_chart, trends):
        tables[chart.slug] = partial(chart_table, chart)
    if name not in tables:
        return None
    columns, rows = tables[name]()
    return csv_stream.response(f"{name}-{summary.period.name}.csv", columns, rows)
