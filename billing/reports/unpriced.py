"""Models with unpriced calls on the whole platform, and what a price for them must cover.

Counts come from the rollup usage_models. Times of the first and last call come from the log: they are looked up only in the
account periods that can contain these calls, and only if these periods have few enough logs.
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
from billing.models.accounts import parse_schedule
from lib import periods
from lib.exact_sum import ExactSum
from lib.periods import Schedule
from providers import model_ids
from providers.quantities import UNITS

MAX_ROWS = 2000  # listed models; a search finds the others
MAX_ACCOUNT_PERIODS = 200  # in which one page looks for times
MAX_LOGS = 50_000  # of these periods together
MAX_NEWEST_LOGS = 2000  # of a period, searched for the calls of a model
MONTH = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """A model at a provider (its declared label if not detected yet); `model` is empty for calls without one.

    `calls` and `tokens` include the priced calls of periods with unpriced ones. Periods are given by their start.
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
class CallTimes:
    """The times of the first and the last unpriced call."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class PriceRequirements:
    """What a price must cover: the UTC day of the first call, the most frequent category, and the units used."""

    valid_from: date
    category: str
    units: tuple[str, ...]


class AccountPeriod(NamedTuple):
    """One usage period of one account."""

    account_id: int
    period: date
    schedule: Schedule

    @property
    def logs(self) -> Q:
        """Condition for the calls made in it, for the index (account, timestamp)."""
        ends = periods.next_period_start(self.schedule, self.period)
        return Q(
            account_id=self.account_id,
            timestamp__gte=periods.first_instant(self.schedule, self.period),
            timestamp__lt=periods.first_instant(self.schedule, ends),
        )


ModelKey = tuple[str, str]


def list_models(*, provider: str = "", text: str = "") -> list[UnpricedModel]:
    """Models with unpriced calls, most calls first; of one provider if given, with `text` in the model's id."""
    rows = UsageModel.objects.filter(unpriced_calls__gt=0, model__contains=model_ids.normalize(text))
    if provider:
        rows = rows.filter(actual=provider)
    sums: Any = rows.order_by().values("actual", "model").annotate(**SUMS)
    return [_unpriced_model(**columns) for columns in sums.order_by("-n_unpriced", "actual", "model")[:MAX_ROWS]]


SUMS = {
    "n_unpriced": Sum("unpriced_calls"),
    "n_calls": Sum("calls"),
    "n_tokens": ExactSum("tokens_total"),
    "n_accounts": Count("account_id", distinct=True),
    "first": Min("period"),
    "last": Max("period"),
}


def _unpriced_model(actual: str, model: str, first: date, last: date, **counts: int) -> UnpricedModel:
    """Converts the sums to integers; MariaDB and PostgreSQL return decimals."""
    unpriced, calls, tokens, accounts = (
        int(counts[name]) for name in ("n_unpriced", "n_calls", "n_tokens", "n_accounts")
    )
    return UnpricedModel(actual, model, unpriced, calls, tokens, accounts, first, last)


def get(provider: str, model: str) -> UnpricedModel | None:
    """The model, or None if it has no unpriced calls."""
    return next((row for row in list_models(provider=provider, text=model) if row.model == model), None)


def providers() -> list[str]:
    """Providers with unpriced calls."""
    days = PlatformDay.objects.filter(unpriced_calls__gt=0)
    return sorted(days.order_by().values_list("actual", flat=True).distinct())


def call_times(models: Sequence[UnpricedModel]) -> dict[ModelKey, CallTimes]:
    """The first and last unpriced call of those models for which few enough logs have to be read."""
    periods_by_model = _affordable(models)
    if not periods_by_model:
        return {}
    condition = reduce(or_, (period.logs for period in set().union(*periods_by_model.values())))
    logs = UsageLog.objects.filter(condition, is_priced=False, voided_at=None).order_by()
    times: dict[ModelKey, CallTimes] = {}
    for row in logs.values_list(*KEY_COLUMNS).annotate(Min("timestamp"), Max("timestamp")):
        key, (first, last) = _key(*row[:3]), row[3:]
        known = times.get(key, CallTimes(first, last))
        times[key] = CallTimes(min(known.first, first), max(known.last, last))
    return {key: value for key, value in times.items() if key in periods_by_model}


KEY_COLUMNS = ("actual_provider_name", "provider", "model_used")


def _key(actual: str | None, declared: str, model: str) -> ModelKey:
    """The key of the rollup row in which a log counts."""
    return actual or model_ids.normalize(declared), model_ids.normalize(model)


def _affordable(models: Sequence[UnpricedModel]) -> dict[ModelKey, set[AccountPeriod]]:
    """The periods with each model's first and last calls, model by model as long as they have at most MAX_LOGS logs."""
    periods_by_model = _account_periods(models)
    calls = _calls(set().union(*periods_by_model.values()))
    selected: set[AccountPeriod] = set()
    affordable: dict[ModelKey, set[AccountPeriod]] = {}
    for key in (model.key for model in models if model.key in periods_by_model):
        extended = selected | periods_by_model[key]
        if sum(calls[period] for period in extended) <= MAX_LOGS:
            selected, affordable[key] = extended, periods_by_model[key]
    return affordable


def _account_periods(models: Sequence[UnpricedModel]) -> dict[ModelKey, set[AccountPeriod]]:
    """The periods that can contain each model's first or last call.

    Accounts have different anchor days, so the first call may be in a period that starts up to a month after the first one.
    """
    if not models:
        return {}
    conditions = [
        Q(actual=model.provider, model=model.model)
        & (Q(period__lte=model.first_period + MONTH) | Q(period__gte=model.last_period - MONTH))
        for model in models
    ]
    rows = UsageModel.objects.filter(reduce(or_, conditions), unpriced_calls__gt=0).order_by("actual", "model")
    schedules = ("account__anchor_day", "account__timezone", "account__earlier_schedules")
    columns = ("actual", "model", "account_id", "period", *schedules)
    by_model: dict[ModelKey, set[AccountPeriod]] = defaultdict(set)
    for actual, name, account_id, period, *schedule in rows.values_list(*columns)[: MAX_ACCOUNT_PERIODS + 1]:
        by_model[actual, name].add(AccountPeriod(account_id, period, parse_schedule(*schedule)))
    if sum(map(len, by_model.values())) > MAX_ACCOUNT_PERIODS:
        by_model.popitem()  # the last model is incomplete
    return by_model


def _calls(account_periods: Iterable[AccountPeriod]) -> dict[AccountPeriod, int]:
    """The number of calls, priced or not, in each period."""
    by_key = {(period.account_id, period.period): period for period in account_periods}
    if not by_key:
        return {}
    condition = reduce(or_, (Q(account_id=account_id, period=period) for account_id, period in by_key))
    sums = UsageModel.objects.filter(condition).order_by().values_list("account_id", "period").annotate(Sum("calls"))
    return {by_key[account_id, period]: int(calls) for account_id, period, calls in sums}


def price_requirements(model: UnpricedModel) -> PriceRequirements:
    """What a price for the model must cover, judged by its newest calls."""
    times = call_times([model]).get(model.key)
    logs = _newest(model)
    categories = Counter(log.category for log in logs)
    used = {unit for log in logs for unit in rating.usage_of_log(log)}
    units = tuple(unit for unit in UNITS if unit in used) or (("requests",) if logs else ())
    return PriceRequirements(
        valid_from=times.first.astimezone(UTC).date() if times else model.first_period - timedelta(days=1),
        category=categories.most_common(1)[0][0] if categories else "",
        units=units,
    )


def _newest(model: UnpricedModel) -> list[UsageLog]:
    """The model's unpriced calls among the newest calls of its last account period with any."""
    account_periods = _account_periods([model]).get(model.key)
    if not account_periods:
        return []
    last = max(account_periods, key=lambda period: period.period)
    columns = (
        *("category", "units", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write"),
        *("is_priced", "resolved"),
    )
    logs = UsageLog.objects.filter(last.logs).only(*KEY_COLUMNS, *columns).order_by("-timestamp")[:MAX_NEWEST_LOGS]
    return [log for log in logs if not log.is_priced and (log.display_provider, rollups.model_of(log)) == model.key]
