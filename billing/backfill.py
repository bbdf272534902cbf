"""Naming the provider of logs that have none yet, and naming logs again by today's rules. Called by its command.

A name moves together with the rollups that stand under it, in one transaction, and only where the old name still holds:
so it runs while the service does, and can be stopped and started at any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from billing import rating, rollups
from billing.models import Account, CostSource, UsageAdjustment, UsageLog
from billing.rating import Books
from billing.rollups import Rollup, Totals
from lib import keys, retry
from providers import costing
from providers.detection import Call, Detection

RATED = (CostSource.PRICE_BOOK, CostSource.UNPRICED)  # what a price may change; a caller's own figure stays
ATTEMPTS = 5
# What the rollups and a price need of a log.
NEEDED = (
    *("account_id", "usage_day", "usage_period", "late_for", "timestamp", "received_at", "voided_at"),
    *("provider", "category", "model_used", "status_code", "response_time_ms", "units", "variant", "cached_included"),
    *("tokens_input", "tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write"),
    *("cost_source", "effective_nano", "is_priced", "is_billable"),
)
EVIDENCE = ("id", "actual_provider_name", "confidence", "provider", "model_used", "endpoint", "served_by")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which logs are looked at: those without a name, or with `redetect` all; `since` and `until` are half-open."""

    redetect: bool = False
    account: Account | None = None
    since: datetime | None = None
    until: datetime | None = None

    def logs(self) -> QuerySet[UsageLog]:
        logs = UsageLog.objects.order_by("id")
        if not self.redetect:
            logs = logs.filter(actual_provider_name=None)
        if self.account:
            logs = logs.filter(account=self.account)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        return logs.filter(timestamp__lt=self.until) if self.until else logs


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one batch: logs looked at, how many were renamed from what to what, how many would cost otherwise."""

    looked: int
    renamed: Counter[tuple[str | None, str]]
    rate_differently: int


class Old(NamedTuple):
    """What a log is called now: the guard of its UPDATE."""

    name: str | None
    confidence: str


class Rival(Exception):
    """Logs were renamed by somebody else between the look at them and the UPDATE."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all batches of one run share; its adjustments can be found by `id`."""

    id: UUID
    at: datetime
    edition: Books
    dry: bool


Changes = dict[tuple[Old, Detection], list[UUID]]


def run(choice: Choice, *, size: int, at: datetime, dry_run: bool = False) -> Iterator[Batch]:
    """Name the chosen logs batch by batch, in order of id; each batch is committed when it comes out."""
    this = Run(keys.new_id(), at, rating.books(), dry_run)
    after = UUID(int=0)
    while ids := list(choice.logs().filter(id__gt=after).values_list("id", flat=True)[:size]):
        yield retry.on_deadlock(partial(_batch, choice, after, ids[-1], this))
        after = ids[-1]


def _batch(choice: Choice, after: UUID, upto: UUID, this: Run) -> Batch:
    """Look at the logs of a range, and rename them; look again where somebody else was faster."""
    for _ in range(ATTEMPTS):
        rows = choice.logs().filter(id__gt=after, id__lte=upto).values_list(*EVIDENCE)
        looked, changes = _changes(rows, this)
        try:
            with transaction.atomic():
                renamed, differently = _rename(changes, this)
        except Rival:
            continue
        return Batch(looked, renamed, differently)
    raise Rival


def _changes(rows: QuerySet[UsageLog, tuple[Any, ...]], this: Run) -> tuple[int, Changes]:
    looked, changes = 0, Changes()
    for id_, name, confidence, *evidence in rows:
        looked += 1
        found = this.edition.rules.detect(Call(*evidence))
        if (name, confidence) != (found.actual_provider, found.confidence):
            changes.setdefault((Old(name, confidence), found), []).append(id_)
    return looked, changes


def _rename(changes: Changes, this: Run) -> tuple[Counter[tuple[str | None, str]], int]:
    """The logs first, then the rollups, as every writer does. Raises Rival."""
    renamed: Counter[tuple[str | None, str]] = Counter()
    old_of: dict[UUID, tuple[Old, Detection]] = {}
    for change, ids in sorted(changes.items(), key=lambda item: item[1][0]):
        if not this.dry:
            _update(*change, ids)
        renamed[change[0].name, change[1].actual_provider] += len(ids)
        old_of |= dict.fromkeys(ids, change)
    logs = list(UsageLog.objects.filter(id__in=old_of).only(*NEEDED))  # locked by now, so they stay as they are read
    differently = sum(_rates_differently(log, old_of[log.id][1], this.edition) for log in logs)
    if logs and not this.dry:
        _record(logs, old_of, this)
        rollups.apply(_moves(logs, old_of))
    return renamed, differently


def _update(old: Old, new: Detection, ids: list[UUID]) -> None:
    unchanged = UsageLog.objects.filter(id__in=ids, actual_provider_name=old.name, confidence=old.confidence)
    moved = unchanged.update(
        actual_provider_name=new.actual_provider,
        confidence=new.confidence,
        detection_rule=new.rule,
        evidence=new.evidence,
    )
    if moved != len(ids):
        raise Rival


def _record(logs: list[UsageLog], old_of: dict[UUID, tuple[Old, Detection]], this: Run) -> None:
    """A new name instead of an old one is a correction, and told as one; a first name is none."""
    corrections = [(log, *old_of[log.id]) for log in logs if old_of[log.id][0].name is not None]
    UsageAdjustment.objects.bulk_create(
        UsageAdjustment(
            account_id=log.account_id,
            log_id=log.id,
            kind=UsageAdjustment.Kind.REDETECT,
            reason="detected again",
            actor="backfill_actual_providers",
            batch=this.id,
            period=log.usage_period,
            corrects_period=log.usage_period,
            details={"from": old.name, "to": new.actual_provider, "rule": new.rule},
            created_at=this.at,
        )
        for log, old, new in corrections
    )


def _moves(logs: list[UsageLog], old_of: dict[UUID, tuple[Old, Detection]]) -> dict[Rollup, Totals]:
    """What goes away under the old names, and comes under the new ones."""
    sums: list[dict[Rollup, Totals]] = []
    for names in ([old_of[log.id][0] for log in logs], [_named(old_of[log.id][1]) for log in logs]):
        for log, name in zip(logs, names, strict=True):
            log.actual_provider_name, log.confidence = name
        sums.append(rollups.group(logs))
    before, after = sums
    return {rollup: _minus(after[rollup], before[rollup]) for rollup in rollups.LEDGERED}


def _named(detection: Detection) -> Old:
    return Old(detection.actual_provider, detection.confidence)


def _minus(some: Totals, less: Totals) -> Totals:
    result = dict(some)
    for key, counts in less.items():
        stands = result.get(key, [0] * len(counts))
        result[key] = [a - b for a, b in zip(stands, counts, strict=True)]
    return result


def _rates_differently(log: UsageLog, new: Detection, edition: Books) -> bool:
    """Whether the price under the new name would make another cost than the log has; `reprice` makes it so."""
    if log.cost_source not in RATED or not log.is_billable:
        return False
    price = edition.prices.find(new.actual_provider, log.model_used, log.timestamp.astimezone(UTC).date())
    if price is None:
        return log.is_priced
    cost = costing.cost(price, rating.quantities_of_log(log))
    return (cost.total_nano, cost.billed) != (log.effective_nano, log.is_priced)
