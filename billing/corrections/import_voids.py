"""Voids all calls that the import of a file created, as one correction batch. Calls that were stored before stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from billing.corrections import corrections
from billing.corrections.apply_corrections import ARCHIVED, Clock, CorrectionStep
from billing.corrections.batch_pass import BatchPass
from billing.errors import Refused
from billing.models import Account, CorrectionBatch, ImportedRange, UsageAdjustment, UsageImport, UsageLog
from lib import retry

State = UsageImport.State
VOIDABLE_STATES = (State.FINISHED, State.DISCARDED)  # no more rows will be imported
_SUMS = {
    "logs": Count("id"),
    "all_calls": Sum("calls"),
    "nano": Sum("effective_nano"),
    "unpriced": Sum("calls", filter=Q(is_priced=False)),
}
MAX_SUMMED_RANGES = 200  # of up to 1,000 logs each, about a second


@dataclass(frozen=True, slots=True)
class VoidableCalls:
    """The usage logs of an import that are not voided, their calls and cost in nano-USD, and the calls without a price.

    `complete` is False if the import has more ranges than were summed.
    """

    logs: int
    calls: int
    nano: int
    unpriced: int
    complete: bool


def summarize(usage_import: UsageImport) -> VoidableCalls:
    ranges, sums = _ranges(usage_import), Counter[str]()
    for imported in ranges[:MAX_SUMMED_RANGES]:
        row = _logs(imported).filter(voided_at=None).aggregate(**_SUMS)
        sums += Counter({name: int(value or 0) for name, value in row.items()})
    return VoidableCalls(
        sums["logs"], sums["all_calls"], sums["nano"], sums["unpriced"], len(ranges) <= MAX_SUMMED_RANGES
    )


@retry.atomic
def start(usage_import: UsageImport, *, reason: str, actor: str, at: datetime) -> CorrectionBatch:
    """Return the batch that voids the import: the one that has begun, or a new one, also after a revert.

    Raises Refused if rows of the file may still be imported, or none was.
    """
    current = UsageImport.objects.select_for_update().select_related(None).get(pk=usage_import.pk)
    if current.state not in VOIDABLE_STATES or not ImportedRange.objects.filter(usage_import=current).exists():
        raise Refused("invalid_state", "Only an import that has ended and has created calls can be voided.")
    if current.void_batch is not None and current.void_batch.reverted_at is None:
        return current.void_batch
    choice, kind = {"import": str(current.pk)}, UsageAdjustment.Kind.VOID
    batch = CorrectionBatch.objects.create(kind=kind, choice=choice, reason=reason, actor=actor, created_at=at)
    UsageImport.objects.filter(pk=current.pk).update(void_batch=batch)
    return batch


def run(batch: CorrectionBatch, *, size: int, clock: Clock) -> Iterator[CorrectionStep]:
    """Void the import's calls, at most `size` of one account per step, then finish the batch.

    Each step is committed when it is yielded. Voided calls are left out, so a killed run can be repeated. If an account
    fails, the batch stays unfinished. Raises BatchClosed if another process finished or reverted the batch meanwhile.
    """
    if batch.finished_at is not None:
        return
    current = BatchPass(batch)
    for imported in _ranges(UsageImport.objects.get(pk=batch.choice["import"])):
        ids_by_account = _find_unvoided(imported, current)
        names = Account.objects.filter(pk__in=ids_by_account).values_list("pk", "external_id")
        for account_id, external_id in sorted(names):
            remaining = iter(ids_by_account[account_id])
            while ids := list(islice(remaining, size)):
                if current.only is None or external_id in current.only:
                    work = partial(corrections.void_logs, account_id, ids, batch=batch, clock=clock)
                    yield current.step(external_id, len(ids), work)
    current.finish(clock())


def _ranges(usage_import: UsageImport) -> list[ImportedRange]:
    return list(ImportedRange.objects.filter(usage_import=usage_import).order_by("position"))


def _logs(imported: ImportedRange) -> QuerySet[UsageLog]:
    return UsageLog.objects.filter(id__gte=imported.first, id__lte=imported.last).order_by()


def _find_unvoided(imported: ImportedRange, current: BatchPass) -> dict[int, list[UUID]]:
    """Ids by account of the range's logs that are not voided; logs in archives count as skipped."""
    ids_by_account: dict[int, list[UUID]] = {}
    rows = list(_logs(imported).values_list("account_id", "id", "voided_at"))
    for account_id, log_id, voided_at in rows:
        if voided_at is None:
            ids_by_account.setdefault(account_id, []).append(log_id)
    if current.only is None:
        current.skips += Counter({ARCHIVED: imported.logs - len(rows)})
    return ids_by_account
