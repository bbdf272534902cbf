"""The use at cost of a usage period up to moments within it: whole days from rollups, the rest of a day from its logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from django.db.models import Case, DateTimeField, F, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce

from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.models import Account, UsageAdjustment, UsageLog
from lib import periods

_ON_RECEIPT = Case(When(late_for=None, then=F("timestamp")), default=F("received_at"))
_LOG_ON_RECEIPT = Case(When(log__late_for=None, then=F("log__timestamp")), default=F("log__received_at"))
# The moment at which a log counts, and an adjustment's log; adjustments made by earlier releases do not store it.
LOG_COUNTS_AT = Coalesce(F("counts_at"), _ON_RECEIPT, output_field=DateTimeField())
ADJUSTED_LOG_COUNTS_AT = Coalesce(F("counts_at"), F("log__counts_at"), _LOG_ON_RECEIPT, output_field=DateTimeField())


class DayTotals(NamedTuple):
    calls: int
    cost_nano: int


NO_USE = DayTotals(0, 0)


def at_closing(account: Account, period: Period, moments: Sequence[datetime]) -> list[int]:
    """The period's use in nano-USD before each moment, without corrections after its closing. Needs the period's logs."""
    if not moments:
        return []
    totals = day_totals(account, period)
    return [_before(account, period, totals, at) for at in moments]


def bounds(account: Account, period: Period, at: datetime) -> tuple[int, int]:
    """The use before and after the local day of `at`. Needs no logs."""
    totals, today = day_totals(account, period), periods.local_day(account.schedule, at)
    return _cost_before(totals, today), _cost_before(totals, today + periods.DAY)


def day_totals(account: Account, period: Period) -> dict[date, DayTotals]:
    """Calls and cost of each local day of the period with usage."""
    days = rollups.days_between(account, period.start, period.end).order_by()
    rows = days.values_list("day").annotate(n_calls=Sum("calls"), n_cost=Sum("cost_nano"))
    return {day: DayTotals(int(calls), int(cost)) for day, calls, cost in rows}


def late_changes(account: Account, corrected: date, moments: Sequence[datetime], where: Q) -> list[int]:
    """How much late corrections of a closed period, chosen by `where`, change its use before each moment."""
    if not moments:
        return []
    late = _late_adjustments(account, corrected).filter(where)
    sums = {f"until_{index}": Sum("delta_nano", filter=Q(moment__lt=at)) for index, at in enumerate(moments)}
    row = late.annotate(moment=ADJUSTED_LOG_COUNTS_AT).aggregate(**sums)
    return [int(row[name] or 0) for name in sums]


def _before(account: Account, period: Period, totals: dict[date, DayTotals], at: datetime) -> int:
    today = periods.local_day(account.schedule, at)
    earlier, expected = _cost_before(totals, today), totals.get(today, NO_USE)
    on_day = Q(log__usage_day=today)
    corrected = _late_adjustments(account, period.start).filter(on_day)
    (late,) = late_changes(account, period.start, [at], on_day)
    logs = UsageLog.objects.filter(account_id=account.pk, usage_day=today).annotate(moment=LOG_COUNTS_AT)
    starts_at = periods.first_instant(account.schedule, today)
    usual = Q(timestamp__gte=starts_at, timestamp__lt=periods.first_instant(account.schedule, today + periods.DAY))
    totals_of_usual = _sum(logs.filter(usual), at)
    cost = totals_of_usual.cost_nano
    # There may be calls that have another time than this day: late ones, and those that settled a reservation.
    if totals_of_usual.calls != expected.calls or corrected.exists():
        cost += _sum(logs.exclude(usual), at).cost_nano
    return earlier + cost - late


def _sum(logs: QuerySet[UsageLog], at: datetime) -> DayTotals:
    """The calls of the logs that count, and the cost of those before `at`."""
    row = logs.aggregate(
        n_calls=Sum("calls", filter=Q(voided_at=None)), n_cost=Sum("effective_nano", filter=Q(moment__lt=at))
    )
    return DayTotals(int(row["n_calls"] or 0), int(row["n_cost"] or 0))


def _late_adjustments(account: Account, corrected: date) -> QuerySet[UsageAdjustment]:
    late = UsageAdjustment.objects.filter(account_id=account.pk, corrects_period=corrected, late_at__isnull=False)
    return late.order_by()


def _cost_before(totals: dict[date, DayTotals], day: date) -> int:
    return sum(total.cost_nano for current, total in totals.items() if current < day)
