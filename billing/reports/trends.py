"""Usage over time by provider, per usage period or local day. Reads only. Money is nano-USD.

Reads the same rollups as `reports.summary`, so the last period equals the summary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Case, F, Value, When

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.models import Account
from lib import periods
from lib.exact_sum import ExactSum
from lib.periods import DAY
from providers import rulebook

BY_MONTH, BY_DAY = "month", "day"
MAX_MONTHS, MAX_DAYS = 36, 366
OTHERS = "other"  # key of the combined series of small providers

Sums = tuple[int, int, int]  # calls, tokens, nano-USD


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """The series of one provider or of the total; each tuple has one entry per step."""

    key: str
    label: str
    calls: tuple[int, ...]
    tokens: tuple[int, ...]
    cost_nano: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """Consecutive steps, oldest first, each given by its first local day. At each step the providers add up to `total`."""

    unit: str  # BY_MONTH or BY_DAY
    starts: tuple[date, ...]
    total: TrendSeries
    providers: tuple[TrendSeries, ...]  # highest cost first

    @property
    def step_names(self) -> list[str]:
        """The steps as `2026-11` or `2026-11-22`."""
        return [f"{start:%Y-%m}" if self.unit == BY_MONTH else f"{start:%Y-%m-%d}" for start in self.starts]

    def largest(self, count: int) -> tuple[TrendSeries, ...]:
        """At most `count` series: if there are more providers, the last series sums all others."""
        if len(self.providers) <= count:
            return self.providers
        first, rest = self.providers[: count - 1], self.providers[count - 1 :]
        return (*first, _sum_series(OTHERS, f"{len(rest)} others", rest, len(self.starts)))


Labels = Mapping[str, str]  # display names of providers by slug


def by_month(account: Account | None, months: int, at: datetime, labels: Labels) -> Trend:
    """The last usage periods including the current one; for the platform calendar months in UTC."""
    schedule, period = usage_periods.schedule_of(account), usage_periods.current_period(account, at)
    starts = [period.start]
    while len(starts) < months:
        starts.insert(0, periods.previous_period_start(schedule, starts[0]))
    bounds = [*starts[1:], period.end]
    step = Case(*(When(day__lt=bound, then=Value(index)) for index, bound in enumerate(bounds)))
    return _trend(account, BY_MONTH, starts, period.end, step, labels)


def by_day(account: Account | None, days: int, at: datetime, labels: Labels) -> Trend:
    """The last local days including today; for the platform days in UTC."""
    today = periods.local_day(usage_periods.schedule_of(account), at)
    return _daily_trend(account, today - (days - 1) * DAY, today + DAY, labels)


def for_period(account: Account | None, period: Period, at: datetime, labels: Labels) -> Trend:
    """The days of a period, of the current one up to today."""
    today = periods.local_day(usage_periods.schedule_of(account), at)
    return _daily_trend(account, period.start, max(min(period.end, today + DAY), period.start + DAY), labels)


def _daily_trend(account: Account | None, start: date, end: date, labels: Labels) -> Trend:
    starts = [start + number * DAY for number in range((end - start).days)]
    return _trend(account, BY_DAY, starts, end, F("day"), labels)


def _trend(
    account: Account | None,
    unit: str,
    starts: Sequence[date],
    end: date,
    step: Any,  # noqa: ANN401
    labels: Labels,
) -> Trend:
    """`step` is an expression over the rollup's rows that yields an index into `starts`, or a day of `starts`."""
    indexes = dict(zip(starts, range(len(starts)), strict=True))
    rows = rollups.days_between(account, starts[0], end).order_by().annotate(step=step).values_list("actual", "step")
    sums_by_provider: dict[str, dict[int, Sums]] = defaultdict(dict)
    for actual, key, *sums in rows.annotate(
        n_calls=ExactSum("calls"), n_tokens=ExactSum("tokens_total"), n_cost=ExactSum("cost_nano")
    ):
        calls, tokens, cost = map(int, sums)
        sums_by_provider[actual][indexes.get(key, key)] = (calls, tokens, cost)
    series = [
        _series(actual, rulebook.provider_label(actual, labels), by_step, len(starts))
        for actual, by_step in sums_by_provider.items()
    ]
    with_calls = (item for item in series if any(item.calls))
    providers = sorted(with_calls, key=lambda item: (-sum(item.cost_nano), item.key))
    return Trend(unit, tuple(starts), _sum_series("", "Total", series, len(starts)), tuple(providers))


def _series(key: str, label: str, by_step: Mapping[int, Sums], steps: int) -> TrendSeries:
    calls, tokens, cost = zip(*(by_step.get(index, (0, 0, 0)) for index in range(steps)), strict=True)
    return TrendSeries(key, label, calls, tokens, cost)


def _sum_series(key: str, label: str, series: Sequence[TrendSeries], steps: int) -> TrendSeries:
    """The sum of several series at each step."""
    names = ("calls", "tokens", "cost_nano")
    sums = (tuple(sum(getattr(item, name)[index] for item in series) for index in range(steps)) for name in names)
    return TrendSeries(key, label, *sums)
