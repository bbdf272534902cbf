"""Naming the provider of logs that have none yet, and naming logs again by today's rules. Called by its command.

A name moves together with the rollups that stand under it, while the service runs; it can be stopped and started at any
moment. A new name instead of an old one is a correction, and belongs to a batch that can be reverted. A first name is none:
it is given to many logs at once, whatever their account and period, where there is still none; the rows' locks keep
corrections of the same logs apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from billing.accounts import accounts
from billing.charges import rating
from billing.charges.rating import RatingSnapshot
from billing.corrections import apply_corrections, corrections, first_detection, repricing
from billing.corrections.apply_corrections import COUNTED, NAMES, NEEDED, Correction, Counted, Decision, Skipped
from billing.corrections.first_detection import CALL, Said
from billing.ledger import closed_periods, log_search, rollups
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from lib import retry
from providers.detection import Call, Detection

ATTEMPTS = 5
EVIDENCE = (*NAMES, *CALL, "timestamp", "usage_period")
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

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Choice:
        """What a batch, which only `redetect` makes, is about."""
        return cls(
            redetect=True,
            account=accounts.get(stored["account"]) if stored["account"] is not None else None,
            since=datetime.fromisoformat(stored["since"]) if stored["since"] else None,
            until=datetime.fromisoformat(stored["until"]) if stored["until"] else None,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one part: logs looked at, how many were renamed from what to what, how many would cost otherwise."""

    looked: int
    renamed: Counter[tuple[str | None, str]]
    rate_differently: int
    skipped: int  # logs of closed periods, whose names stay


class Rival(Exception):
    """Logs were named by somebody else between the look at them and the UPDATE."""


def run(choice: Choice, *, size: int, at: datetime, dry_run: bool = False) -> Iterator[Part]:
    """Name the chosen logs part by part; each part is committed when it comes out."""
    if dry_run:
        return _by_account(choice, size, at, batch=None)
    if not choice.redetect:
        return _by_id(choice, size)
    kind = UsageAdjustment.Kind.REDETECT
    batch = corrections.start(kind=kind, choice=choice.stored(), reason=REASON, actor=ACTOR, at=at)
    return _by_account(choice, size, at, batch=batch)


def _by_id(choice: Choice, size: int) -> Iterator[Part]:
    after = UUID(int=0)
    while ids := list(choice.logs().filter(id__gt=after).order_by("id").values_list("id", flat=True)[:size]):
        yield retry.on_deadlock(partial(_named, choice, after, ids[-1]))
        after = ids[-1]


def _named(choice: Choice, after: UUID, upto: UUID) -> Part:
    """Give a range of logs their first names; look again where somebody else was faster."""
    books = rating.snapshot()
    for _ in range(ATTEMPTS):
        found: dict[Said, list[UUID]] = {}
        unnamed = choice.logs().filter(id__gt=after, id__lte=upto).order_by("id")
        for id_, *said in log_search.read(unnamed.values_list("id", *CALL)):
            found.setdefault(tuple(said), []).append(id_)
        try:
            return _first_names(found, books)
        except Rival:
            continue
    raise Rival


@transaction.atomic
def _first_names(found: dict[Said, list[UUID]], books: RatingSnapshot) -> Part:
    """The logs first, then the rollups, as every writer does. Raises Rival."""
    ids = [id_ for each in found.values() for id_ in each]
    if not ids:
        return Part(0, Counter(), 0, 0)
    if first_detection.assign(ids, {said: books.rules.detect(Call(*said)) for said in found}) != len(ids):
        raise Rival
    logs = _counted(ids)  # locked by now, so they stay as they are read
    renamed = Counter((None, str(log.actual_provider_name)) for log in logs)
    part = Part(len(logs), Counter(renamed), sum(_rates_differently(log, books) for log in logs), 0)
    unnamed = [log.unnamed() for log in logs]
    rollups.apply(rollups.minus(rollups.group(logs), rollups.group(unnamed)))
    return part


def _counted(ids: Sequence[UUID]) -> list[Any]:
    """These logs as Counted: by the range of their ids where it holds no others, as a list of ids costs more than they do."""
    logs = UsageLog.objects.values_list(*COUNTED, "id")
    rows = log_search.read(logs.filter(id__gte=min(ids), id__lte=max(ids))[: len(ids) + 1])
    if {row[-1] for row in rows} != set(ids):
        rows = log_search.read(logs.filter(id__in=ids))
    return [Counted._make(row[:-1]) for row in rows]


def _by_account(choice: Choice, size: int, at: datetime, *, batch: CorrectionBatch | None) -> Iterator[Part]:
    """As corrections are made; without a batch nothing is changed."""
    skipped = 0
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    for account_id in [choice.account.pk] if choice.account else list(ids):
        found = choice.logs().filter(account_id=account_id).only(*(EVIDENCE if batch else NEEDED))
        for logs in log_search.pages(found, size=size):
            part = _part(account_id, logs, batch, at)
            skipped += part.skipped
            yield part
    if batch:
        corrections.finish(batch, skipped=skipped, at=at)


def _part(account_id: int, logs: Sequence[UsageLog], batch: CorrectionBatch | None, at: datetime) -> Part:
    """Look without a lock at what would change, and decide anew on those logs once the account is held."""
    books = rating.snapshot()
    decisions = list(_decided(books, logs, closed_periods.closed(account_id)))
    skipped = sum(isinstance(one, Skipped) for one in decisions)
    made: Sequence[Correction] = [one for one in decisions if isinstance(one, Correction)]
    if not batch:
        for one in made:
            apply_corrections.set_values(one)
    elif made:
        ids = [one.log.id for one in made]
        step = apply_corrections.apply(account_id, ids, partial(_decided, books), batch=batch, at=at)
        made, skipped = step.made, skipped + step.skipped.total()
    renamed = Counter((one.details["from"], one.details["to"]) for one in made)
    return Part(len(logs), renamed, sum(_rates_differently(one.log, books) for one in made), skipped)


def _decided(books: RatingSnapshot, logs: Sequence[UsageLog], closed: Collection[date]) -> Iterator[Decision]:
    for log in logs:
        found = books.rules.detect(Call(log.provider, log.model_used, log.endpoint, log.served_by))
        if (log.actual_provider_name, log.confidence) == (found.actual_provider, found.confidence):
            continue
        frozen = log.usage_period in closed and log.actual_provider_name is not None
        yield Skipped("of a closed period") if frozen else _renamed(log, found)


def _renamed(log: UsageLog, found: Detection) -> Correction:
    old = log.actual_provider_name
    details = {
        "from": old,
        "to": found.actual_provider,
        "rule": found.rule,
        "before": {"confidence": log.confidence, "rule": log.detection_rule, "evidence": log.evidence},
    }
    return Correction(log, "" if old is None else UsageAdjustment.Kind.REDETECT, first_detection.names(found), details)


def _rates_differently(log: Any, books: RatingSnapshot) -> bool:  # noqa: ANN401 - any form of a log that has the columns
    """Whether the price under its new name would make another cost than the log has; `reprice` makes it so."""
    return any(isinstance(one, Correction) for one in repricing.decided([log], books))
