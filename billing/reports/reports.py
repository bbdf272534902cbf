"""Usage figures of an account or of the platform, the single source for pages, API and exports. Reads only.

Money is nano-USD. The platform (account None) has calendar months in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Subquery

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.limits import limits
from billing.limits.decisions import LimitStatus
from billing.models import Account, Category, UsageAdjustment, UsageModel
from billing.plans.meters import FULL_PERCENT, NEAR_PERCENT
from lib import periods
from lib.exact_sum import ExactSum
from lib.percent import percentage
from providers import rulebook

TOP_PROVIDERS = 5


@dataclass(frozen=True, slots=True)
class UsageCell:
    """The usage of one provider in one category. `cost_nano` covers priced calls only; `calls` includes unpriced ones."""

    provider: str
    category: str
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    estimated_calls: int
    fallback_calls: int
    response_time_sum: int


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """A row of a breakdown and its parts. `percent` is of the total cost, None if the total is zero."""

    key: str
    label: str
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    estimated_calls: int
    percent: Decimal | None
    parts: tuple[BreakdownRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """The plan's cost limit and its use. Without a limit, `percent` and `remaining_nano` are None and `status` is ok."""

    limit_nano: int | None
    used_nano: int
    reserved_nano: int

    @property
    def remaining_nano(self) -> int | None:
        return None if self.limit_nano is None else max(self.limit_nano - self.used_nano - self.reserved_nano, 0)

    @property
    def percent(self) -> Decimal | None:
        return None if not self.limit_nano else percentage(self.used_nano, self.limit_nano)

    @property
    def status(self) -> str:
        if self.limit_nano is None:
            return "ok"
        reached = (name for percent, name in BUDGET_THRESHOLDS if self.used_nano * 100 >= self.limit_nano * percent)
        return next(reached, "ok")


BUDGET_THRESHOLDS = ((FULL_PERCENT, "exceeded"), (95, "critical"), (NEAR_PERCENT, "warning"), (50, "notice"))


@dataclass(frozen=True, slots=True)
class Summary:
    """One account's usage period, or the platform's month. Both breakdowns add up to `cost_nano` exactly."""

    account: Account | None
    period: Period
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    estimated_calls: int
    fallback_calls: int
    response_time_sum: int
    prior_adjustments_nano: int  # corrections of closed periods that count in this one; not part of the other figures
    budget: Budget
    providers: tuple[BreakdownRow, ...]
    categories: tuple[BreakdownRow, ...]

    @property
    def error_rate(self) -> Decimal | None:
        return percentage(self.errors, self.calls)

    @property
    def avg_response_time_ms(self) -> int | None:
        return round(self.response_time_sum / self.calls) if self.calls else None

    @property
    def top_providers(self) -> tuple[BreakdownRow, ...]:
        return self.providers[:TOP_PROVIDERS]


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The usage of one model in a period. `model` is empty for calls without one; `percent` is of the total cost."""

    label: str
    model: str
    percent: Decimal | None
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    estimated_calls: int


MAX_MODELS = 50


def model_usage(summary: Summary, labels: Mapping[str, str]) -> list[ModelUsage]:
    """An account's models, highest cost first. Beyond MAX_MODELS the last row sums all others, so the rows add up."""
    stored = UsageModel.objects.filter(account=summary.account, period=summary.period.start, calls__gt=0)
    rows = stored.order_by("-cost_nano", "-calls", "actual", "model").values_list(*MODEL_COLUMNS)[: MAX_MODELS + 1]
    models = [
        ModelUsage(rulebook.provider_label(actual, labels), model, percentage(counts[3], summary.cost_nano), *counts)
        for actual, model, *counts in rows
    ]
    if len(models) <= MAX_MODELS:
        return models
    listed = models[: MAX_MODELS - 1]
    return [*listed, _other_models(summary, listed)]


MODEL_COLUMNS = ("actual", "model", "calls", "errors", "tokens_total", "cost_nano", "unpriced_calls", "estimated_calls")


def _other_models(summary: Summary, listed: Sequence[ModelUsage]) -> ModelUsage:
    """The summary's usage minus the listed models."""
    names = ("calls", "errors", "tokens", "cost_nano", "unpriced_calls", "estimated_calls")
    rest = [getattr(summary, name) - sum(getattr(model, name) for model in listed) for name in names]
    return ModelUsage("Others", "all other models", percentage(rest[3], summary.cost_nano), *rest)


def summary(
    account: Account | None,
    period: Period,
    at: datetime,
    *,
    statuses: Sequence[LimitStatus] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Summary:
    """The usage of the period, the corrections of closed periods that count in it, and an account's budget at `at`.

    Pass `statuses` and `labels` (provider labels) if they are loaded already.
    """
    cells = cells_between(account, period.start, period.end)
    total = sum(cell.cost_nano for cell in cells)
    labels = rulebook.current().labels if labels is None else labels
    return Summary(
        account=account,
        period=period,
        calls=sum(cell.calls for cell in cells),
        errors=sum(cell.errors for cell in cells),
        tokens=sum(cell.tokens for cell in cells),
        cost_nano=total,
        unpriced_calls=sum(cell.unpriced_calls for cell in cells),
        estimated_calls=sum(cell.estimated_calls for cell in cells),
        fallback_calls=sum(cell.fallback_calls for cell in cells),
        response_time_sum=sum(cell.response_time_sum for cell in cells),
        prior_adjustments_nano=_prior_adjustments(account, period),
        budget=_budget(account, period, total, at, statuses),
        providers=_breakdown(cells, "provider", "category", labels, total),
        categories=_breakdown(cells, "category", "provider", labels, total),
    )


def _prior_adjustments(account: Account | None, period: Period) -> int:
    """Late corrections in nano-USD: of an account those that count in the period, of the platform those made in the month."""
    if account is None:
        late = UsageAdjustment.objects.filter(late_at__gte=period.starts_at, late_at__lt=period.ends_at)
    else:
        late = UsageAdjustment.objects.filter(account_id=account.id, period=period.start, late_at__isnull=False)
    return int(late.aggregate(total=ExactSum("delta_nano"))["total"] or 0)


def _budget(
    account: Account | None, period: Period, used_nano: int, at: datetime, statuses: Sequence[LimitStatus] | None
) -> Budget:
    """The budget by the current limit. Reservations count in the open period only. The platform has no limit."""
    if account is None:
        return Budget(None, used_nano, 0)
    limit, reserved = limits.budget(limits.statuses(account, at) if statuses is None else statuses)
    return Budget(limit, used_nano, reserved if period.starts_at <= at < period.ends_at else 0)


@dataclass(frozen=True, slots=True)
class PeriodComparison:
    """The cost of the same number of days of the previous period, the change from it, and the projected cost."""

    previous_nano: int
    change_percent: Decimal | None  # None if the previous cost is zero
    projected_nano: int | None  # None if the period is over or younger than a day


def compare_periods(summary: Summary, at: datetime) -> PeriodComparison:
    """Compare with the previous period: the days so far of the current period, or all days of a past one."""
    schedule, period = usage_periods.schedule_of(summary.account), summary.period
    running = period.starts_at <= at < period.ends_at
    days = (min(period.end, periods.local_day(schedule, at) + DAY) if running else period.end) - period.start
    start = periods.previous_period_start(schedule, period.start)
    previous = cost_nano_between(summary.account, start, min(start + days, period.start))
    change = percentage(summary.cost_nano - previous, previous)
    return PeriodComparison(previous, change, projected_cost_nano(summary.cost_nano, period, at))


def projected_cost_nano(used_nano: int, period: Period, at: datetime) -> int | None:
    """The cost at the period's end at the current rate; None if the period is over or younger than a day."""
    elapsed, length = at - period.starts_at, period.ends_at - period.starts_at
    return used_nano * (length // SECOND) // (elapsed // SECOND) if DAY <= elapsed < length else None


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MAX_PERIODS = 36


def list_periods(account: Account | None, at: datetime) -> list[Period]:
    """The current period and all since the first usage, newest first, at most MAX_PERIODS."""
    # SQLite reads every row to find Min and Max in one query, so this orders by day instead.
    last = rollups.days_of(account).order_by("-day").values("day")[:1]
    days = rollups.days_of(account).order_by("day").values_list("day", Subquery(last)).first()
    schedule, current = usage_periods.schedule_of(account), usage_periods.current_period(account, at)
    first, latest = days or (current.start, current.start)
    first, start = min(first, current.start), periods.period_start(schedule, max(latest, current.start))
    listed: list[Period] = []
    while len(listed) < MAX_PERIODS:
        listed.append(usage_periods.period_from(schedule, start))
        if start <= first:
            break
        start = periods.previous_period_start(schedule, start)
    return listed


def providers_since(account: Account | None, day: date) -> list[str]:
    """The actual providers with usage since that day, in alphabetical order."""
    days = rollups.days_of(account).filter(day__gte=day, calls__gt=0)
    return sorted(days.order_by().values_list("actual", flat=True).distinct())


def cost_nano_between(account: Account | None, start: date, end: date) -> int:
    """The cost of the days from `start` up to, but not including, `end`."""
    return int(rollups.days_between(account, start, end).aggregate(total=ExactSum("cost_nano"))["total"] or 0)


def cells_between(account: Account | None, start: date, end: date) -> list[UsageCell]:
    """Usage by provider and category of the days from `start` up to, but not including, `end`; highest cost first."""
    sums = {name: ExactSum(column) for name, column in CELL_SUMS.items()}
    rows = rollups.days_between(account, start, end).order_by().values("actual", "category").annotate(**sums)
    cells = [UsageCell(row["actual"], row["category"], *(int(row[name]) for name in CELL_SUMS)) for row in rows]
    return sorted(
        (cell for cell in cells if cell.calls), key=lambda cell: (-cell.cost_nano, cell.provider, cell.category)
    )


CELL_SUMS = {
    "n_calls": "calls",
    "n_errors": "errors",
    "n_tokens": "tokens_total",
    "n_cost": "cost_nano",
    "n_unpriced": "unpriced_calls",
    "n_estimated": "estimated_calls",
    "n_fallback": "fallback_calls",
    "n_time": "response_time_sum",
}


def _breakdown(
    cells: Sequence[UsageCell], dimension: str, parts_dimension: str, labels: Mapping[str, str], total_nano: int
) -> tuple[BreakdownRow, ...]:
    groups: dict[str, list[UsageCell]] = {}
    for cell in cells:
        groups.setdefault(getattr(cell, dimension), []).append(cell)
    rows = []
    for key, group in groups.items():
        parts = (
            _breakdown_row(getattr(cell, parts_dimension), parts_dimension, labels, [cell], total_nano)
            for cell in group
        )
        rows.append(_breakdown_row(key, dimension, labels, group, total_nano, tuple(parts)))
    return tuple(sorted(rows, key=lambda row: (-row.cost_nano, -row.calls, row.key)))


def _breakdown_row(
    key: str,
    dimension: str,
    labels: Mapping[str, str],
    cells: Sequence[UsageCell],
    total_nano: int,
    parts: tuple[BreakdownRow, ...] = (),
) -> BreakdownRow:
    cost = sum(cell.cost_nano for cell in cells)
    return BreakdownRow(
        key=key,
        label=rulebook.provider_label(key, labels) if dimension == "provider" else CATEGORY_LABELS.get(key, key),
        calls=sum(cell.calls for cell in cells),
        errors=sum(cell.errors for cell in cells),
        tokens=sum(cell.tokens for cell in cells),
        cost_nano=cost,
        unpriced_calls=sum(cell.unpriced_calls for cell in cells),
        estimated_calls=sum(cell.estimated_calls for cell in cells),
        percent=percentage(cost, total_nano),
        parts=parts,
    )


CATEGORY_LABELS: dict[str, str] = dict(Category.choices)
