"""Whether what stored logs are worth now, and by whom they were served, follows from their adjustments.

Part of the ledger's check: `differences` are read in its snapshot, and told by verify_ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from billing.models import CostSource, UsageAdjustment, UsageLog

Kind = UsageAdjustment.Kind
PAGE = 5_000
# Adjustments of logs that are there: an archived one leaves its adjustments behind.
KEPT = Q(log__event_id__isnull=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that does not say what the ledger says: which one, and by column what stands there and what should."""

    table: str
    key: tuple[Any, ...]
    columns: dict[str, tuple[object, object]]

    def __str__(self) -> str:
        wrong = "; ".join(f"{name} is {found}, should be {right}" for name, (found, right) in self.columns.items())
        return f"{self.table} {', '.join(str(part) for part in self.key)}: {wrong}"


def differences() -> Iterator[Iterator[Difference]]:
    """One series for each thing that is derived."""
    yield from (_worth(), _voids(), _never_rated_again(), _rated_again(), _renamed(), _reverts())


def _of_log(log: object, **columns: tuple[object, object]) -> Difference:
    return Difference(UsageLog._meta.db_table, (log,), columns)


def _worth() -> Iterator[Difference]:
    """effective_nano = cost_total + adjustments; first where the log was moved, then where it should have been."""
    mine = UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), log_id=OuterRef("pk")).order_by()
    moved = Subquery(mine.values("log_id").annotate(sum=Sum("delta_nano")).values("sum"))
    logs = UsageLog.objects.exclude(effective_nano=F("cost_total")).annotate(right=F("cost_total") + Coalesce(moved, 0))
    for log, is_, right in logs.exclude(effective_nano=F("right")).values_list("id", "effective_nano", "right"):
        yield _of_log(log, effective_nano=(is_, int(right)))
    sums = UsageAdjustment.objects.filter(log__effective_nano=F("log__cost_total")).order_by()
    unmoved = sums.values_list("log_id", "log__cost_total").annotate(sum=Sum("delta_nano")).exclude(sum=0)
    for log, cost, delta in unmoved:
        yield _of_log(log, effective_nano=(cost, cost + int(delta)))


def _voids() -> Iterator[Difference]:
    """A log is voided where a void that stands says so, and nowhere else."""
    voids = UsageAdjustment.objects.filter(kind=Kind.VOID, reverted_by=None)
    mine = voids.filter(account_id=OuterRef("account_id"), log_id=OuterRef("pk"))
    for log in UsageLog.objects.exclude(voided_at=None).exclude(Exists(mine)).values_list("id", flat=True):
        yield _of_log(log, voided=(True, False))
    for log in voids.filter(KEPT, log__voided_at=None).values_list("log_id", flat=True):
        yield _of_log(log, voided=(False, True))


def _never_rated_again() -> Iterator[Difference]:
    """A log that no re-pricing stands for is priced exactly where its own cost has a source."""
    unpriced = Q(cost_source=CostSource.UNPRICED)
    logs = UsageLog.objects.filter((unpriced & Q(is_priced=True)) | (~unpriced & Q(is_priced=False)))
    rated = UsageAdjustment.objects.filter(
        account_id=OuterRef("account_id"), log_id=OuterRef("pk"), kind=Kind.REPRICE, reverted_by=None
    )
    for log, is_ in logs.exclude(Exists(rated)).values_list("id", "is_priced"):
        yield _of_log(log, is_priced=(is_, not is_))


def _rated_again() -> Iterator[Difference]:
    """A log that was rated again is priced where the last re-pricing that stands found a price."""
    last = _last(UsageAdjustment.objects.filter(kind=Kind.REPRICE, reverted_by=None), "log__is_priced")
    for log, details, is_ in last:
        right = details.get("source") != CostSource.UNPRICED
        if is_ != right:
            yield _of_log(log, is_priced=(is_, right))


def _renamed() -> Iterator[Difference]:
    """A log that was detected again has the name of the last such correction that stands, else the one before the first."""
    redetects = UsageAdjustment.objects.filter(kind=Kind.REDETECT)
    standing = redetects.filter(reverted_by=None)
    for log, details, is_ in _last(standing, "log__actual_provider_name"):
        if details.get("to") != is_:
            yield _of_log(log, actual_provider_name=(is_, details.get("to")))
    named = standing.filter(account_id=OuterRef("account_id"), log_id=OuterRef("log_id"))
    reverted = redetects.exclude(reverted_by=None).exclude(Exists(named))
    for log, details, is_ in _last(reverted, "log__actual_provider_name", first=True):
        if details.get("from") != is_:
            yield _of_log(log, actual_provider_name=(is_, details.get("from")))


def _reverts() -> Iterator[Difference]:
    """What is said to be undone is undone by a revert that is there."""
    reverts = UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), kind=Kind.REVERT)
    undone = UsageAdjustment.objects.exclude(reverted_by=None)
    for id_, by in undone.exclude(Exists(reverts.filter(pk=OuterRef("reverted_by")))).values_list("id", "reverted_by"):
        yield Difference(UsageAdjustment._meta.db_table, (id_,), {"reverted_by": (by, None)})


def _last(
    found: QuerySet[UsageAdjustment], column: str, *, first: bool = False
) -> Iterator[tuple[object, dict[str, Any], object]]:
    """Of each log the last of these adjustments, or the first: the log, the details, and a column of the log."""
    beyond = Q(id__lt=OuterRef("id")) if first else Q(id__gt=OuterRef("id"))
    others = found.filter(beyond, account_id=OuterRef("account_id"), log_id=OuterRef("log_id"))
    last = found.filter(KEPT).exclude(Exists(others)).order_by("id").values_list("id", "log_id", "details", column)
    rest = last
    while page := list(rest[:PAGE]):
        for _, log, details, value in page:
            yield log, details, value
        rest = last.filter(id__gt=page[-1][0])
