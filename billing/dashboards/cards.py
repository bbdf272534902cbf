"""What the cards of a dashboard show, arranged for templates and for CSV. Operators' and customers' pages call it.

No figure is computed here: it takes what reports, trends and limits have read. Money is nano-USD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.http import HttpRequest, HttpResponseBase

from billing.limits.decisions import LimitStatus, shown
from billing.models import Per
from billing.reports.reports import Model, Share, Summary
from billing.reports.trends import MONTH, Trend
from lib import csv_stream, money
from lib.percent import percentage

PARTS = 8  # of a stacked chart, the last of them all others together; theme.css has as many colours
STATES = ((100, "critical"), (80, "warning"))


@dataclass(frozen=True, slots=True)
class Bar:
    """A provider's part of the spend; `width` in per cent of the largest."""

    share: Share
    width: int


class Step(NamedTuple):
    """A row of a chart's table: the cost of each part, and of all."""

    name: str
    parts: tuple[int, ...]
    whole: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Cost by step, stacked by provider; the table beside it has the same numbers."""

    slug: str  # names its CSV
    title: str
    labels: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def empty(self) -> bool:
        return not any(step.whole for step in self.steps)


@dataclass(frozen=True, slots=True)
class Ring:
    """How much of a limit is used. `percent` is None where it is unlimited, or not allowed."""

    label: str
    text: str
    percent: Decimal | None
    filled: int  # 0 to 100
    state: str


class Table(NamedTuple):
    """What a CSV holds."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def bars(summary: Summary) -> list[Bar]:
    most = max((share.cost_nano for share in summary.providers), default=0)
    return [Bar(share, max(share.cost_nano, 0) * 100 // most) for share in summary.providers if most > 0]


def chart(trend: Trend) -> Chart:
    parts = trend.largest(PARTS)
    costs = zip(trend.names, zip(*(part.cost_nano for part in parts), strict=True), trend.whole.cost_nano, strict=True)
    by_month = trend.unit == MONTH
    return Chart(
        "months" if by_month else "days",
        "Cost per month" if by_month else "Cost per day",
        tuple(part.label for part in parts),
        tuple(Step(*step) for step in costs) if parts else (),
    )


def rings(standings: Sequence[LimitStatus]) -> list[Ring]:
    """A ring for each limit that there is, the fullest first; behind them what is unlimited, and what is not allowed."""
    found = [_ring(one) for one in standings]
    return sorted(found, key=lambda ring: (ring.percent is None, ring.text == FORBIDDEN, -(ring.percent or 0)))


UNLIMITED, FORBIDDEN = "unlimited", "not in your plan"


def _ring(one: LimitStatus) -> Ring:
    limit = one.limit
    label = f"{limit.meter.label}, daily" if limit.per == Per.DAY else limit.meter.label
    if limit.amount is None:
        return Ring(label, f"{_amount(one, one.used)} used, {UNLIMITED}", None, 0, "")
    if limit.amount == 0 and limit.hard:
        return Ring(label, FORBIDDEN, None, 0, "")
    used = percentage(one.used, limit.amount) or Decimal(0)  # a soft limit of 0 is shown as any other
    state = next((name for least, name in STATES if used >= least), "")
    text = f"{_amount(one, one.used)} of {_amount(one, limit.amount)}"
    return Ring(label, text, used, min(int(used), 100), state)


def _amount(one: LimitStatus, amount: int) -> str:
    return money.format_usd(amount) if one.limit.meter.unit == "cost" else shown(one.limit, amount)


FIGURES = ("cost_usd", "percent", "calls", "errors", "tokens", "unpriced_calls")


def breakdown(summary: Summary) -> Table:
    """Category by provider."""
    lines = [(one.label, part.label, part) for one in summary.categories for part in one.parts]
    return Table(("category", "provider", *FIGURES), [(*names, *_figures(part)) for *names, part in lines])


def models(found: Sequence[Model]) -> Table:
    return Table(("provider", "model", *FIGURES), [(one.label, one.model, *_figures(one)) for one in found])


def _figures(one: Share | Model) -> tuple[object, ...]:
    percent = "" if one.percent is None else one.percent
    return money.exact_usd(one.cost_nano), percent, one.calls, one.errors, one.tokens, one.unpriced_calls


def steps(one: Chart) -> Table:
    """A chart's own table."""
    rows = [(step.name, *map(money.exact_usd, step.parts), money.exact_usd(step.whole)) for step in one.steps]
    return Table((one.slug.removesuffix("s"), *one.labels, "total_usd"), rows)


def csv(
    request: HttpRequest, summary: Summary, trends: Sequence[Trend], found: Sequence[Model] = ()
) -> HttpResponseBase | None:
    """The table of the page that `?csv=` asks for, as an attachment; None where the page itself is wanted."""
    name = request.GET.get("csv", "")
    tables: dict[str, Callable[[], Table]] = {"breakdown": lambda: breakdown(summary), "models": lambda: models(found)}
    for drawn in map(chart, trends):
        tables[drawn.slug] = partial(steps, drawn)
    if name not in tables:
        return None
    columns, rows = tables[name]()
    return csv_stream.response(f"{name}-{summary.period.name}.csv", columns, rows)
