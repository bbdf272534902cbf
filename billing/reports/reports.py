"""Every figure that is shown. Pages, API and exports call these functions, so that one number has one source. Reads only.

Money is nano-USD here; `lib.money` turns it into text. A platform figure (account None) is by calendar month in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Subquery, Sum

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.limits import limits
from billing.limits.decisions import LimitStatus
from billing.models import Account, Category, UsageAdjustment, UsageModel
from lib import periods
from lib.percent import percentage
from providers import rulebook

TOP = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One provider's part of one category. `cost_nano` is of priced calls only; `unpriced_calls` are counted beside it."""

    provider: str
    category: str
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    fallback_calls: int
    response_time_sum: int


@dataclass(frozen=True, slots=True)
class Share:
    """A line of a breakdown and what it is made of. `percent` is of the total cost, None where that is zero."""

    key: str
    label: str
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int
    percent: Decimal | None
    parts: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """What the plan's money limit leaves. Without a limit: percent and remaining None, status ok."""

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
        reached = (name for part, name in BUDGET_STATES if self.used_nano * 100 >= self.limit_nano * part)
        return next(reached, "ok")


BUDGET_STATES = ((100, "exceeded"), (95, "critical"), (80, "warning"), (50, "notice"))


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
    fallback_calls: int
    response_time_sum: int
    prior_adjustments_nano: int  # corrections of closed periods that count in this one; in no other figure
    budget: Budget
    providers: tuple[Share, ...]
    categories: tuple[Share, ...]

    @property
    def error_rate(self) -> Decimal | None:
        return percentage(self.errors, self.calls)

    @property
    def avg_response_time_ms(self) -> int | None:
        return round(self.response_time_sum / self.calls) if self.calls else None

    @property
    def top_providers(self) -> tuple[Share, ...]:
        return self.providers[:TOP]


@dataclass(frozen=True, slots=True)
class Model:
    """One model's part of a period. `model` is empty where callers named none; `percent` is of the total cost."""

    label: str
    model: str
    percent: Decimal | None
    calls: int
    errors: int
    tokens: int
    cost_nano: int
    unpriced_calls: int


MOST_MODELS = 50


def by_model(one: Summary, labels: Mapping[str, str]) -> list[Model]:
    """An account's dearest models, highest cost first; the last line is all others together, so that the lines add up."""
    stored = UsageModel.objects.filter(account=one.account, period=one.period.start, calls__gt=0)
    rows = stored.order_by("-cost_nano", "-calls", "actual", "model").values_list(*MODEL_COLUMNS)[: MOST_MODELS + 1]
    found = [
        Model(label_of(actual, labels), model, percentage(counts[3], one.cost_nano), *counts)
        for actual, model, *counts in rows
    ]
    return found if len(found) <= MOST_MODELS else [*found[: MOST_MODELS - 1], _others(one, found[: MOST_MODELS - 1])]


MODEL_COLUMNS = ("actual", "model", "calls", "errors", "tokens_total", "cost_nano", "unpriced_calls")


def _others(one: Summary, shown: Sequence[Model]) -> Model:
    """What the summary has beyond the models that are shown."""
    names = ("calls", "errors", "tokens", "cost_nano", "unpriced_calls")
    rest = [getattr(one, name) - sum(getattr(model, name) for model in shown) for name in names]
    return Model("Others", "all other models", percentage(rest[3], one.cost_nano), *rest)


def summary(
    account: Account | None,
    period: Period,
    at: datetime,
    *,
    standings: Sequence[LimitStatus] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Summary:
    """The rollup's rows of the period, the corrections of closed ones that fall into it, and an account's budget `at`.

    `standings` and `labels` (those of the rulebook) where the caller has read them already.
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
        fallback_calls=sum(cell.fallback_calls for cell in cells),
        response_time_sum=sum(cell.response_time_sum for cell in cells),
        prior_adjustments_nano=_prior_adjustments(account, period),
        budget=_budget(account, period, total, at, standings),
        providers=_breakdown(cells, "provider", "category", labels, total),
        categories=_breakdown(cells, "category", "provider", labels, total),
    )


def _prior_adjustments(account: Account | None, period: Period) -> int:
    """Nano-USD of corrections that came after their own period was closed: by account those of the period in which they
    count, for the platform those made in the month."""
    if account is None:
        late = UsageAdjustment.objects.filter(late_at__gte=period.starts_at, late_at__lt=period.ends_at)
    else:
        late = UsageAdjustment.objects.filter(account_id=account.id, period=period.start, late_at__isnull=False)
    return int(late.aggregate(total=Sum("delta_nano"))["total"] or 0)


def _budget(
    account: Account | None, period: Period, used: int, at: datetime, standings: Sequence[LimitStatus] | None
) -> Budget:
    """Against the limit in force; calls that run are held in the open period alone. The platform has no budget."""
    if account is None:
        return Budget(None, used, 0)
    limit, reserved = limits.budget(limits.standing(account, at) if standings is None else standings)
    return Budget(limit, used, reserved if period.starts_at <= at < period.ends_at else 0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a period compares: with as many days of the one before, and where it ends if it goes on like this."""

    before_nano: int
    change: Decimal | None  # in per cent; None where nothing was spent before
    projected_nano: int | None  # None where the period is over, or younger than a day


def pace(one: Summary, at: datetime) -> Pace:
    """The days so far of a running period, all days of one that is over."""
    schedule, period = usage_periods.schedule_of(one.account), one.period
    running = period.starts_at <= at < period.ends_at
    days = (min(period.end, periods.local_day(schedule, at) + DAY) if running else period.end) - period.start
    earlier = periods.previous_start(schedule, period.start)
    before = cost_between(one.account, earlier, min(earlier + days, period.start))
    return Pace(before, percentage(one.cost_nano - before, before), at_this_rate(one.cost_nano, period, at))


def at_this_rate(used: int, period: Period, at: datetime) -> int | None:
    """What is used by the period's end if it goes on like this; None where it is over, or younger than a day."""
    elapsed, whole = at - period.starts_at, period.ends_at - period.starts_at
    return used * (whole // SECOND) // (elapsed // SECOND) if DAY <= elapsed < whole else None


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MOST_MONTHS = 36


def periods_of(account: Account | None, at: datetime) -> list[Period]:
    """The periods to choose from, newest first: those with usage, and always the current one."""
    # Not by Min and Max: SQLite finds these together only by reading every row.
    last = rollups.days_of(account).order_by("-day").values("day")[:1]
    days = rollups.days_of(account).order_by("day").values_list("day", Subquery(last)).first()
    schedule, current = usage_periods.schedule_of(account), usage_periods.current_period(account, at)
    first, latest = days or (current.start, current.start)
    first, start = min(first, current.start), periods.start_of(schedule, max(latest, current.start))
    found: list[Period] = []
    while len(found) < MOST_MONTHS:
        found.append(usage_periods.period_from(schedule, start))
        if start <= first:
            break
        start = periods.previous_start(schedule, start)
    return found


def providers_since(account: Account | None, day: date) -> list[str]:
    """The actual providers with usage since that day, in alphabetical order."""
    days = rollups.days_of(account).filter(day__gte=day, calls__gt=0)
    return sorted(days.order_by().values_list("actual", flat=True).distinct())


def cost_between(account: Account | None, start: date, end: date) -> int:
    """Nano-USD of the days from `start` up to `end`, which is not one of them."""
    return int(rollups.days_between(account, start, end).aggregate(total=Sum("cost_nano"))["total"] or 0)


def cells_between(account: Account | None, start: date, end: date) -> list[Cell]:
    """Provider by category over the days from `start` up to `end`, which is not one of them; highest cost first."""
    sums = {name: Sum(column) for name, column in CELL_SUMS.items()}
    rows = rollups.days_between(account, start, end).order_by().values("actual", "category").annotate(**sums)
    cells = [Cell(row["actual"], row["category"], *(int(row[name]) for name in CELL_SUMS)) for row in rows]
    return sorted(
        (cell for cell in cells if cell.calls), key=lambda cell: (-cell.cost_nano, cell.provider, cell.category)
    )


CELL_SUMS = {
    "n_calls": "calls",
    "n_errors": "errors",
    "n_tokens": "tokens_total",
    "n_cost": "cost_nano",
    "n_unpriced": "unpriced_calls",
    "n_fallback": "fallback_calls",
    "n_time": "response_time_sum",
}


def _breakdown(cells: Sequence[Cell], by: str, then: str, labels: Mapping[str, str], total: int) -> tuple[Share, ...]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(getattr(cell, by), []).append(cell)
    shares = [
        _share(key, by, labels, group, total, tuple(_share(getattr(c, then), then, labels, [c], total) for c in group))
        for key, group in groups.items()
    ]
    return tuple(sorted(shares, key=lambda share: (-share.cost_nano, -share.calls, share.key)))


def _share(
    key: str, kind: str, labels: Mapping[str, str], cells: Iterable[Cell], total: int, parts: tuple[Share, ...] = ()
) -> Share:
    cells = list(cells)
    cost = sum(cell.cost_nano for cell in cells)
    return Share(
        key=key,
        label=label_of(key, labels) if kind == "provider" else CATEGORY_LABELS.get(key, key),
        calls=sum(cell.calls for cell in cells),
        errors=sum(cell.errors for cell in cells),
        tokens=sum(cell.tokens for cell in cells),
        cost_nano=cost,
        unpriced_calls=sum(cell.unpriced_calls for cell in cells),
        percent=percentage(cost, total),
        parts=parts,
    )


CATEGORY_LABELS: dict[str, str] = dict(Category.choices)


def label_of(provider: str, labels: Mapping[str, str]) -> str:
    """The name shown for a provider's slug; one that nobody has named yet is shown as it stands."""
    return labels.get(provider, provider)
