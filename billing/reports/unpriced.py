"""Which models have calls without a price, platform-wide, and what a price for them has to cover. The operators' page asks.

Counts come from usage_models alone. Times are looked up in the log, only among the periods that hold a model's first and
last calls, and only while those hold few enough logs: else the period's month has to do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min, Q, Sum

from billing.charges import rating
from billing.ledger import rollups
from billing.models import PlatformDay, UsageLog, UsageModel
from billing.models.accounts import schedule_of
from lib import periods
from lib.periods import Schedule
from providers.costing import UNITS

MOST_ROWS = 2000  # what is listed; the search box finds the others
MOST_SPANS = 200  # periods of accounts in which one page looks for times
MOST_LOGS = 50_000  # that these may hold together
NEWEST = 2000  # logs of a period among which a model's calls are looked at
MONTH = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Row:
    """A model at a provider (the declared label where nothing was detected yet); `model` is empty where calls name none.

    `calls` and `tokens` are of all its calls in the periods with unpriced ones. Periods go by their start.
    """

    provider: str
    model: str
    unpriced: int
    calls: int
    tokens: int
    accounts: int
    first_period: date
    last_period: date

    @property
    def key(self) -> tuple[str, str]:
        return self.provider, self.model


@dataclass(frozen=True, slots=True)
class Seen:
    """When the first and the last unpriced call were made."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Needed:
    """What a price has to cover: the UTC day of the first call, the category of most calls, and the units that they used."""

    valid_from: date
    category: str
    units: tuple[str, ...]


class Span(NamedTuple):
    """One usage period of one account."""

    account_id: int
    period: date
    schedule: Schedule

    @property
    def logs(self) -> Q:
        """The calls made in it, by the index (account, timestamp)."""
        ends = periods.next_start(self.schedule, self.period)
        return Q(
            account_id=self.account_id,
            timestamp__gte=periods.starts_at(self.schedule, self.period),
            timestamp__lt=periods.starts_at(self.schedule, ends),
        )


Key = tuple[str, str]


def rows(*, provider: str = "", text: str = "") -> list[Row]:
    """The models with unpriced calls, most first: of one provider or all, with the text in the model's id."""
    found = UsageModel.objects.filter(unpriced_calls__gt=0, model__contains=text.strip().lower())
    if provider:
        found = found.filter(actual=provider)
    sums: Any = found.order_by().values("actual", "model").annotate(**SUMS)
    return [_row(**columns) for columns in sums.order_by("-n_unpriced", "actual", "model")[:MOST_ROWS]]


SUMS = {
    "n_unpriced": Sum("unpriced_calls"),
    "n_calls": Sum("calls"),
    "n_tokens": Sum("tokens_total"),
    "n_accounts": Count("account_id", distinct=True),
    "first": Min("period"),
    "last": Max("period"),
}


def _row(actual: str, model: str, first: date, last: date, **counts: int) -> Row:
    """The sums as integers: to MariaDB and PostgreSQL they are decimals."""
    unpriced, calls, tokens, accounts = (
        int(counts[name]) for name in ("n_unpriced", "n_calls", "n_tokens", "n_accounts")
    )
    return Row(actual, model, unpriced, calls, tokens, accounts, first, last)


def one(provider: str, model: str) -> Row | None:
    """The row of one model, if it has unpriced calls."""
    return next((row for row in rows(provider=provider, text=model) if row.model == model), None)


def providers() -> list[str]:
    """Those with unpriced calls."""
    days = PlatformDay.objects.filter(unpriced_calls__gt=0)
    return sorted(days.order_by().values_list("actual", flat=True).distinct())


def seen(listed: Sequence[Row]) -> dict[Key, Seen]:
    """First and last unpriced call of each row, where they can be told by reading few logs."""
    spans = _affordable(listed)
    if not spans:
        return {}
    within = reduce(or_, (span.logs for span in set().union(*spans.values())))
    logs = UsageLog.objects.filter(within, is_priced=False, voided_at=None).order_by()
    found: dict[Key, Seen] = {}
    for log in logs.values_list(*NAMES).annotate(Min("timestamp"), Max("timestamp")):
        key, (first, last) = _key(*log[:3]), log[3:]
        before = found.get(key, Seen(first, last))
        found[key] = Seen(min(before.first, first), max(before.last, last))
    return {key: times for key, times in found.items() if key in spans}


NAMES = ("actual_provider_name", "provider", "model_used")


def _key(actual: str | None, declared: str, model: str) -> Key:
    """Under which row of the totals a log counts."""
    return actual or declared.strip().lower(), model.strip().lower()


def _affordable(listed: Sequence[Row]) -> dict[Key, set[Span]]:
    """The periods with each row's first and last calls, row after row while they hold MOST_LOGS together."""
    spans = _spans(listed)
    calls = _calls(set().union(*spans.values()))
    taken: set[Span] = set()
    affordable: dict[Key, set[Span]] = {}
    for key in (row.key for row in listed if row.key in spans):
        wanted = taken | spans[key]
        if sum(calls[span] for span in wanted) <= MOST_LOGS:
            taken, affordable[key] = wanted, spans[key]
    return affordable


def _spans(listed: Sequence[Row]) -> dict[Key, set[Span]]:
    """Accounts' periods overlap, so that of the first call may start up to a month after the first of them."""
    if not listed:
        return {}
    ends = [
        Q(actual=row.provider, model=row.model)
        & (Q(period__lte=row.first_period + MONTH) | Q(period__gte=row.last_period - MONTH))
        for row in listed
    ]
    found = UsageModel.objects.filter(reduce(or_, ends), unpriced_calls__gt=0).order_by("actual", "model")
    schedules = ("account__anchor_day", "account__timezone", "account__earlier_schedules")
    columns = ("actual", "model", "account_id", "period", *schedules)
    spans: dict[Key, set[Span]] = defaultdict(set)
    for actual, model, account_id, period, *schedule in found.values_list(*columns)[: MOST_SPANS + 1]:
        spans[actual, model].add(Span(account_id, period, schedule_of(*schedule)))
    if sum(map(len, spans.values())) > MOST_SPANS:
        spans.popitem()  # the last one is not whole
    return spans


def _calls(spans: Iterable[Span]) -> dict[Span, int]:
    """How many calls of whatever model each period holds."""
    by_period = {(span.account_id, span.period): span for span in spans}
    if not by_period:
        return {}
    each = reduce(or_, (Q(account_id=account_id, period=period) for account_id, period in by_period))
    sums = UsageModel.objects.filter(each).order_by().values_list("account_id", "period").annotate(Sum("calls"))
    return {by_period[account_id, period]: int(calls) for account_id, period, calls in sums}


def needed(row: Row) -> Needed:
    """What a price for the row's model has to cover, told by its newest calls."""
    times = seen([row]).get(row.key)
    logs = _newest(row)
    categories = Counter(log.category for log in logs)
    used = {unit for log in logs for unit in rating.usage_of(log)}
    units = tuple(unit for unit in UNITS if unit in used) or (("requests",) if logs else ())
    return Needed(
        valid_from=times.first.astimezone(UTC).date() if times else row.first_period - timedelta(days=1),
        category=categories.most_common(1)[0][0] if categories else "",
        units=units,
    )


def _newest(row: Row) -> list[UsageLog]:
    """Its unpriced calls among the newest of one period that has some."""
    spans = _spans([row]).get(row.key)
    if not spans:
        return []
    span = max(spans, key=lambda span: span.period)
    needs = ("category", "units", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write", "is_priced")
    logs = UsageLog.objects.filter(span.logs).only(*NAMES, *needs).order_by("-timestamp")[:NEWEST]
    return [log for log in logs if not log.is_priced and (log.shown_provider, rollups.model_of(log)) == row.key]
