"""Checks that the current cost, price state and provider of logs follow from their adjustments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from billing.models import CostSource, UsageAdjustment, UsageLog

AdjustmentKind = UsageAdjustment.Kind
PAGE_SIZE = 5_000
# Adjustments remain when their log is archived.
LOG_EXISTS = Q(log__event_id__isnull=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs from the ledger; `columns` has (stored, expected) by column."""

    table: str
    key: tuple[Any, ...]
    columns: dict[str, tuple[object, object]]

    def __str__(self) -> str:
        wrong = (f"{name} is {stored}, should be {expected}" for name, (stored, expected) in self.columns.items())
        return f"{self.table} {', '.join(map(str, self.key))}: {'; '.join(wrong)}"


def differences() -> Iterator[Iterator[Difference]]:
    """One iterator for each derived value."""
    yield from (_effective_costs(), _voids(), _original_prices(), _repriced(), _redetected(), _reverts())


def _log_difference(log: object, **columns: tuple[object, object]) -> Difference:
    return Difference(UsageLog._meta.db_table, (log,), columns)


def _effective_costs() -> Iterator[Difference]:
    """effective_nano = cost_total + adjustments: for logs that were corrected, then for logs that should have been."""
    of_log = UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), log_id=OuterRef("pk")).order_by()
    delta = Subquery(of_log.values("log_id").annotate(sum=Sum("delta_nano")).values("sum"))
    logs = UsageLog.objects.exclude(effective_nano=F("cost_total"))
    wrong = logs.annotate(expected=F("cost_total") + Coalesce(delta, 0)).exclude(effective_nano=F("expected"))
    for log, stored, expected in wrong.values_list("id", "effective_nano", "expected"):
        yield _log_difference(log, effective_nano=(stored, int(expected)))
    adjustments = UsageAdjustment.objects.filter(log__effective_nano=F("log__cost_total")).order_by()
    sums = adjustments.values_list("log_id", "log__cost_total").annotate(sum=Sum("delta_nano")).exclude(sum=0)
    for log, cost, delta_nano in sums:
        yield _log_difference(log, effective_nano=(cost, cost + int(delta_nano)))


def _voids() -> Iterator[Difference]:
    """A log is voided exactly if it has an active void."""
    voids = UsageAdjustment.objects.filter(kind=AdjustmentKind.VOID, reverted_by=None)
    of_log = voids.filter(account_id=OuterRef("account_id"), log_id=OuterRef("pk"))
    for log in UsageLog.objects.exclude(voided_at=None).exclude(Exists(of_log)).values_list("id", flat=True):
        yield _log_difference(log, voided=(True, False))
    for log in voids.filter(LOG_EXISTS, log__voided_at=None).values_list("log_id", flat=True):
        yield _log_difference(log, voided=(False, True))


def _original_prices() -> Iterator[Difference]:
    """A log without an active re-pricing is priced exactly if its original cost has a source."""
    unpriced = Q(cost_source=CostSource.UNPRICED)
    logs = UsageLog.objects.filter((unpriced & Q(is_priced=True)) | (~unpriced & Q(is_priced=False)))
    repriced = UsageAdjustment.objects.filter(
        account_id=OuterRef("account_id"), log_id=OuterRef("pk"), kind=AdjustmentKind.REPRICE, reverted_by=None
    )
    for log, stored in logs.exclude(Exists(repriced)).values_list("id", "is_priced"):
        yield _log_difference(log, is_priced=(stored, not stored))


def _repriced() -> Iterator[Difference]:
    """A re-priced log is priced exactly if its last active re-pricing found a price."""
    last = _last_per_log(
        UsageAdjustment.objects.filter(kind=AdjustmentKind.REPRICE, reverted_by=None), "log__is_priced"
    )
    for log, details, stored in last:
        expected = details.get("source") != CostSource.UNPRICED
        if stored != expected:
            yield _log_difference(log, is_priced=(stored, expected))


def _redetected() -> Iterator[Difference]:
    """A redetected log has the provider of its last active redetection, else the provider before its first one."""
    redetects = UsageAdjustment.objects.filter(kind=AdjustmentKind.REDETECT)
    active = redetects.filter(reverted_by=None)
    for log, details, stored in _last_per_log(active, "log__actual_provider_name"):
        if details.get("to") != stored:
            yield _log_difference(log, actual_provider_name=(stored, details.get("to")))
    of_log = active.filter(account_id=OuterRef("account_id"), log_id=OuterRef("log_id"))
    reverted = redetects.exclude(reverted_by=None).exclude(Exists(of_log))
    for log, details, stored in _last_per_log(reverted, "log__actual_provider_name", first=True):
        if details.get("from") != stored:
            yield _log_difference(log, actual_provider_name=(stored, details.get("from")))


def _reverts() -> Iterator[Difference]:
    """The revert named by `reverted_by` exists."""
    reverts = UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), kind=AdjustmentKind.REVERT)
    existing = Exists(reverts.filter(pk=OuterRef("reverted_by")))
    wrong = UsageAdjustment.objects.exclude(reverted_by=None).exclude(existing)
    for id_, reverted_by in wrong.values_list("id", "reverted_by"):
        yield Difference(UsageAdjustment._meta.db_table, (id_,), {"reverted_by": (reverted_by, None)})


def _last_per_log(
    adjustments: QuerySet[UsageAdjustment], column: str, *, first: bool = False
) -> Iterator[tuple[object, dict[str, Any], object]]:
    """Each log's last adjustment, or first, as (log id, details, value of the log's column)."""
    closer = Q(id__lt=OuterRef("id")) if first else Q(id__gt=OuterRef("id"))
    others = adjustments.filter(closer, account_id=OuterRef("account_id"), log_id=OuterRef("log_id"))
    selected = adjustments.filter(LOG_EXISTS).exclude(Exists(others))
    last = selected.order_by("id").values_list("id", "log_id", "details", column)
    rest = last
    while page := list(rest[:PAGE_SIZE]):
        for _, log, details, value in page:
            yield log, details, value
        rest = last.filter(id__gt=page[-1][0])
