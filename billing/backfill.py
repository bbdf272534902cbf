"""Naming the provider of logs that have none yet, and naming logs again by today's rules. Called by its command.

A name moves together with the rollups that stand under it, while the service runs; it can be stopped and started at any
moment. A new name instead of an old one is a correction, and belongs to a batch that can be reverted; a first name is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from django.db.models import QuerySet

from billing import closing, corrections, log_search, projections, rating, repricing
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from billing.projections import NAMES, NEEDED, Correction, Decision, Skipped
from billing.rating import Books
from providers.detection import Call, Detection

EVIDENCE = (*NAMES, "timestamp", "usage_period", "provider", "model_used", "endpoint", "served_by")
REASON, ACTOR = "detected again", "backfill_actual_providers"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which logs are looked at: those without a name, or with `redetect` all; `since` and `until` are half-open."""

    redetect: bool = False
    account: Account | None = None
    since: datetime | None = None
    until: datetime | None = None

    def logs(self) -> QuerySet[UsageLog]:
        logs = UsageLog.objects.all()
        if not self.redetect:
            logs = logs.filter(actual_provider_name=None)
        if self.account:
            logs = logs.filter(account=self.account)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        return logs.filter(timestamp__lt=self.until) if self.until else logs

    def stored(self) -> dict[str, Any]:
        """As a batch keeps it."""
        return {
            "account": self.account.external_id if self.account else None,
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "until": self.until.astimezone(UTC).isoformat() if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one part: logs looked at, how many were renamed from what to what, how many would cost otherwise."""

    looked: int
    renamed: Counter[tuple[str | None, str]]
    rate_differently: int
    skipped: int  # logs of closed periods, whose names stay


def run(choice: Choice, *, size: int, at: datetime, dry_run: bool = False) -> Iterator[Part]:
    """Name the chosen logs part by part, account by account; each part is committed when it comes out."""
    kind = UsageAdjustment.Kind.REDETECT
    batch, skipped = None, 0
    if choice.redetect and not dry_run:
        batch = corrections.start(kind=kind, choice=choice.stored(), reason=REASON, actor=ACTOR, at=at)
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    for account_id in [choice.account.pk] if choice.account else list(ids):
        found = choice.logs().filter(account_id=account_id).only(*(NEEDED if dry_run else EVIDENCE))
        for logs in log_search.pages(found, size=size):
            part = _part(account_id, logs, batch, at, dry_run=dry_run)
            skipped += part.skipped
            yield part
    if batch:
        corrections.finish(batch, skipped=skipped, at=at)


def _part(
    account_id: int, logs: Sequence[UsageLog], batch: CorrectionBatch | None, at: datetime, *, dry_run: bool
) -> Part:
    """Look without a lock at what would change, and decide anew on those logs once the account is held."""
    books = rating.books()
    decisions = list(_decided(books, logs, closing.closed(account_id)))
    skipped = sum(isinstance(one, Skipped) for one in decisions)
    made: Sequence[Correction] = [one for one in decisions if isinstance(one, Correction)]
    if dry_run:
        for one in made:
            projections.put(one)
    elif made:
        ids = [one.log.id for one in made]
        step = projections.correct(account_id, ids, partial(_decided, books), batch=batch, at=at)
        made, skipped = step.made, skipped + step.skipped.total()
    renamed = Counter((one.details["from"], one.details["to"]) for one in made)
    return Part(len(logs), renamed, sum(_rates_differently(one.log, books) for one in made), skipped)


def _decided(books: Books, logs: Sequence[UsageLog], closed: Collection[date]) -> Iterator[Decision]:
    for log in logs:
        found = books.rules.detect(Call(log.provider, log.model_used, log.endpoint, log.served_by))
        if (log.actual_provider_name, log.confidence) == (found.actual_provider, found.confidence):
            continue
        yield Skipped("of a closed period") if log.usage_period in closed else _renamed(log, found)


def _renamed(log: UsageLog, found: Detection) -> Correction:
    old = log.actual_provider_name
    details = {
        "from": old,
        "to": found.actual_provider,
        "rule": found.rule,
        "before": {"confidence": log.confidence, "rule": log.detection_rule, "evidence": log.evidence},
    }
    values = {
        "actual_provider_name": found.actual_provider,
        "confidence": found.confidence,
        "detection_rule": found.rule,
        "evidence": found.evidence,
    }
    return Correction(log, "" if old is None else UsageAdjustment.Kind.REDETECT, values, details)


def _rates_differently(log: UsageLog, books: Books) -> bool:
    """Whether the price under its new name would make another cost than the log has; `reprice` makes it so."""
    return any(isinstance(one, Correction) for one in repricing.decided([log], books))
