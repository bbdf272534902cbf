"""How usage moved, by usage period or by local day, with each provider's part. Pages, API and exports ask; reads only.

The rows are those that `reports.summary` reads, so the last month equals the summary. Money is nano-USD.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Case, F, Sum, Value, When

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.models import Account
from billing.reports import reports
from lib import periods
from lib.periods import DAY

MONTH, DAYS = "month", "day"
MOST_MONTHS, MOST_DAYS = 36, 366
OTHER = "other"  # what a chart's smaller providers are together

Triple = tuple[int, int, int]  # calls, tokens, nano-USD


@dataclass(frozen=True, slots=True)
class Series:
    """One provider's part of a trend, or the whole; each tuple has an entry a step."""

    key: str
    label: str
    calls: tuple[int, ...]
    tokens: tuple[int, ...]
    cost_nano: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """Steps, oldest first and none missing, each by its first local day; the parts add up to the whole at each step."""

    unit: str  # MONTH or DAYS
    starts: tuple[date, ...]
    whole: Series
    providers: tuple[Series, ...]  # highest cost first

    @property
    def names(self) -> list[str]:
        """A step as people and the API call it: `2026-11`, or `2026-11-22`."""
        return [f"{start:%Y-%m}" if self.unit == MONTH else f"{start:%Y-%m-%d}" for start in self.starts]

    def largest(self, count: int) -> tuple[Series, ...]:
        """At most `count` parts: where there are more, the last one is all others together."""
        if len(self.providers) <= count:
            return self.providers
        kept, rest = self.providers[: count - 1], self.providers[count - 1 :]
        return (*kept, _together(OTHER, f"{len(rest)} others", rest, len(self.starts)))


Labels = Mapping[str, str]  # the names that are shown, by slug: those of the rulebook


def by_month(account: Account | None, months: int, at: datetime, labels: Labels) -> Trend:
    """The last usage periods up to the one that is open `at`; calendar months in UTC for the platform."""
    schedule, period = usage_periods.schedule_of(account), usage_periods.current_period(account, at)
    starts = [period.start]
    while len(starts) < months:
        starts.insert(0, periods.previous_start(schedule, starts[0]))
    bounds = [*starts[1:], period.end]
    step = Case(*(When(day__lt=bound, then=Value(index)) for index, bound in enumerate(bounds)))
    return _trend(account, MONTH, starts, period.end, step, labels)


def by_day(account: Account | None, days: int, at: datetime, labels: Labels) -> Trend:
    """The last local days up to and with the one that is open `at`; UTC days for the platform."""
    today = periods.local_day(usage_periods.schedule_of(account), at)
    return _of_days(account, today - (days - 1) * DAY, today + DAY, labels)


def of_period(account: Account | None, period: Period, at: datetime, labels: Labels) -> Trend:
    """The days of a period; of a running one those up to now."""
    today = periods.local_day(usage_periods.schedule_of(account), at)
    return _of_days(account, period.start, max(min(period.end, today + DAY), period.start + DAY), labels)


def _of_days(account: Account | None, start: date, end: date, labels: Labels) -> Trend:
    starts = [start + number * DAY for number in range((end - start).days)]
    return _trend(account, DAYS, starts, end, F("day"), labels)


def _trend(
    account: Account | None,
    unit: str,
    starts: Sequence[date],
    end: date,
    step: Any,  # noqa: ANN401
    labels: Labels,
) -> Trend:
    """`step` is an expression over the rollup's rows that yields an index of `starts`, or one of them."""
    places = dict(zip(starts, range(len(starts)), strict=True))
    rows = rollups.days_between(account, starts[0], end).order_by().annotate(step=step).values_list("actual", "step")
    found: dict[str, dict[int, Triple]] = defaultdict(dict)
    for actual, key, *sums in rows.annotate(
        n_calls=Sum("calls"), n_tokens=Sum("tokens_total"), n_cost=Sum("cost_nano")
    ):
        calls, tokens, cost = map(int, sums)
        found[actual][places.get(key, key)] = (calls, tokens, cost)
    series = [_series(actual, reports.label_of(actual, labels), parts, len(starts)) for actual, parts in found.items()]
    shown = sorted((one for one in series if any(one.calls)), key=lambda one: (-sum(one.cost_nano), one.key))
    return Trend(unit, tuple(starts), _together("", "Total", series, len(starts)), tuple(shown))


def _series(key: str, label: str, parts: Mapping[int, Triple], steps: int) -> Series:
    calls, tokens, cost = zip(*(parts.get(index, (0, 0, 0)) for index in range(steps)), strict=True)
    return Series(key, label, calls, tokens, cost)


def _together(key: str, label: str, series: Sequence[Series], steps: int) -> Series:
    """What several are together, step by step."""
    names = ("calls", "tokens", "cost_nano")
    sums = (tuple(sum(getattr(one, name)[index] for one in series) for index in range(steps)) for name in names)
    return Series(key, label, *sums)
