"""Detects the provider of logs that have none, and redetects logs by the current rules.

Logs and their rollups change in one transaction, while the service runs; a run can be stopped and restarted at any time.
A changed provider is a correction, in a batch that can be reverted. A first detection is no correction: it updates many
logs at once, of any account and period; row locks serialise it with corrections of the same logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
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
from billing.corrections.apply_corrections import (
    CORRECTION_COLUMNS,
    COUNTED_COLUMNS,
    PROVIDER_COLUMNS,
    Clock,
    Correction,
    CountedLog,
    Decision,
    Skipped,
)
from billing.corrections.batch_pass import ACCOUNT_FAILED, BatchPass
from billing.corrections.first_detection import CALL_COLUMNS, CallSignature
from billing.ledger import closed_periods, log_search, rollups
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from lib import isolation, keyset, retry
from providers.detection import Call, Detection

MAX_ATTEMPTS = 5
REDETECTION_COLUMNS = (*PROVIDER_COLUMNS, *CALL_COLUMNS, "timestamp", "usage_period")
REASON, ACTOR = "detected again", "backfill_actual_providers"


@dataclass(frozen=True, slots=True)
class RedetectionChoice:
    """The logs to examine: those without a provider, with `redetect` all; `since` <= timestamp < `until`."""

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

    def as_json(self) -> dict[str, Any]:
        """The choice of a redetection batch."""
        return {
            "account": self.account.external_id if self.account else None,
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "until": self.until.astimezone(UTC).isoformat() if self.until else None,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> RedetectionChoice:
        return cls(
            redetect=True,
            account=accounts.get(stored["account"]) if stored["account"] is not None else None,
            since=datetime.fromisoformat(stored["since"]) if stored["since"] else None,
            until=datetime.fromisoformat(stored["until"]) if stored["until"] else None,
        )


@dataclass(frozen=True, slots=True)
class RedetectionStep:
    """One page of logs: how many were examined, the providers changed (from, to), and how many now cost differently."""

    examined: int
    changed: Counter[tuple[str | None, str]]
    cost_differently: int
    skipped: Counter[str]  # logs by reason; mostly the provider stays because their period is closed
    failed: str = ""  # the account whose logs were skipped because of an error, and the error


class DetectedConcurrently(Exception):
    """Another process detected some of the logs after they were read."""


def run(choice: RedetectionChoice, *, size: int, clock: Clock, dry_run: bool = False) -> Iterator[RedetectionStep]:
    """Detect the chosen logs, `size` per step; each step is committed when it is yielded.

    If an account fails, the others are detected; a redetection is then not finished.
    """
    if dry_run:
        return _by_account(choice, size, clock, batch=None)
    if not choice.redetect:
        return _detect_undetected(choice, size)
    kind = UsageAdjustment.Kind.REDETECT
    batch = corrections.start(kind=kind, choice=choice.as_json(), reason=REASON, actor=ACTOR, at=clock())
    return _by_account(choice, size, clock, batch=batch)


def resume(batch: CorrectionBatch, *, size: int, clock: Clock) -> Iterator[RedetectionStep]:
    """Continue an unfinished redetection, with the accounts that failed if its last run examined all."""
    return _by_account(RedetectionChoice.from_json(batch.choice), size, clock, batch=batch)


def _detect_undetected(choice: RedetectionChoice, size: int) -> Iterator[RedetectionStep]:
    after = UUID(int=0)
    for ids in keyset.iter_pages(choice.logs().values_list("id", flat=True), size=size):
        yield from _detect_isolated(choice, after, ids[-1])
        after = ids[-1]


def _detect_isolated(choice: RedetectionChoice, after: UUID, upto: UUID) -> Iterator[RedetectionStep]:
    """Detect the logs of a range of ids in one transaction; if that fails, account by account."""
    problems: list[str] = []
    detect = partial(retry.on_deadlock, partial(_detect_range, choice, after, upto))
    step = isolation.attempt(detect, name=f"logs up to {upto}", problems=problems)
    if step:
        yield step
        return
    undetected = choice.logs().filter(id__gt=after, id__lte=upto).order_by()
    for account in Account.objects.filter(pk__in=undetected.values("account_id").distinct()).order_by("pk"):
        detect = partial(retry.on_deadlock, partial(_detect_range, replace(choice, account=account), after, upto))
        step = isolation.attempt(detect, name=account.external_id, problems=problems)
        yield step or _failed_step(undetected.filter(account=account).count(), problems[-1])


def _detect_range(choice: RedetectionChoice, after: UUID, upto: UUID) -> RedetectionStep:
    """Detect the undetected logs of a range of ids; try again if another process was faster."""
    snapshot = rating.snapshot()
    for _ in range(MAX_ATTEMPTS):
        ids_by_call: dict[CallSignature, list[UUID]] = {}
        undetected = choice.logs().filter(id__gt=after, id__lte=upto).order_by("id")
        for id_, *call in log_search.fetch_rows(undetected.values_list("id", *CALL_COLUMNS)):
            ids_by_call.setdefault(tuple(call), []).append(id_)
        try:
            return _assign_providers(ids_by_call, snapshot)
        except DetectedConcurrently:
            continue
    raise DetectedConcurrently


@transaction.atomic
def _assign_providers(ids_by_call: dict[CallSignature, list[UUID]], snapshot: RatingSnapshot) -> RedetectionStep:
    """Write in the fixed lock order: logs, rollups. Raises DetectedConcurrently."""
    ids = [id_ for ids_of_call in ids_by_call.values() for id_ in ids_of_call]
    if not ids:
        return RedetectionStep(0, Counter(), 0, Counter())
    detections = {call: snapshot.detect(Call(*call)) for call in ids_by_call}
    if first_detection.assign(ids, detections) != len(ids):
        raise DetectedConcurrently
    logs = _counted_logs(ids)  # locked by now, so they stay as they are read
    changed: Counter[tuple[str | None, str]] = Counter((None, str(log.actual_provider_name)) for log in logs)
    step = RedetectionStep(len(logs), changed, sum(_costs_differently(log, snapshot) for log in logs), Counter())
    undetected = [log.undetected() for log in logs]
    rollups.apply(rollups.subtract(rollups.totals_by_rollup(logs), rollups.totals_by_rollup(undetected)))
    return step


def _counted_logs(ids: Sequence[UUID]) -> list[Any]:
    """Read CountedLogs: by a range of ids if it contains no others, because a long list of ids is slower."""
    logs = UsageLog.objects.values_list(*COUNTED_COLUMNS, "id")
    rows = log_search.fetch_rows(logs.filter(id__gte=min(ids), id__lte=max(ids))[: len(ids) + 1])
    if {row[-1] for row in rows} != set(ids):
        rows = log_search.fetch_rows(logs.filter(id__in=ids))
    return [CountedLog._make(row[:-1]) for row in rows]


def _by_account(
    choice: RedetectionChoice, size: int, clock: Clock, *, batch: CorrectionBatch | None
) -> Iterator[RedetectionStep]:
    """Write corrections, account by account; without a batch change nothing."""
    current = BatchPass(batch)
    accounts_in_order = Account.objects.order_by("pk").values_list("pk", "external_id")
    chosen = choice.logs().only(*(REDETECTION_COLUMNS if batch else CORRECTION_COLUMNS))
    for account_id, name in [(choice.account.pk, choice.account.external_id)] if choice.account else accounts_in_order:
        if current.only is not None and name not in current.only:
            continue
        for logs in log_search.iter_pages(chosen.filter(account_id=account_id), size=size):
            step = current.attempt(name, partial(_redetect_page, account_id, logs, batch, clock))
            step = step or _failed_step(len(logs), f"{name}: {current.failed[name]}")
            current.skips += step.skipped
            yield step
    current.finish(clock())


def _failed_step(logs: int, problem: str) -> RedetectionStep:
    return RedetectionStep(logs, Counter(), 0, Counter({ACCOUNT_FAILED: logs}), problem)


def _redetect_page(
    account_id: int, logs: Sequence[UsageLog], batch: CorrectionBatch | None, clock: Clock
) -> RedetectionStep:
    """Find the changes without a lock, then decide again on these logs under the account's lock."""
    snapshot = rating.snapshot()
    decisions = list(_decide(snapshot, logs, closed_periods.closed_starts(account_id)))
    skipped = Counter(decision.reason for decision in decisions if isinstance(decision, Skipped))
    changes: Sequence[Correction] = [decision for decision in decisions if isinstance(decision, Correction)]
    if not batch:
        for correction in changes:
            apply_corrections.set_values(correction)
    elif changes:
        ids = [correction.log.id for correction in changes]
        step = apply_corrections.apply(account_id, ids, partial(_decide, snapshot), batch=batch, clock=clock)
        changes, skipped = step.corrections, skipped + step.skipped
    changed = Counter((correction.details["from"], correction.details["to"]) for correction in changes)
    differently = sum(_costs_differently(correction.log, snapshot) for correction in changes)
    return RedetectionStep(len(logs), changed, differently, skipped)


def _decide(snapshot: RatingSnapshot, logs: Sequence[UsageLog], closed: Collection[date]) -> Iterator[Decision]:
    for log in logs:
        detection = snapshot.detect(Call(log.provider, log.model_used, log.endpoint, log.served_by))
        if (log.actual_provider_name, log.confidence) == (detection.actual_provider, detection.confidence):
            continue
        frozen = log.usage_period in closed and log.actual_provider_name is not None
        yield Skipped("the period is closed") if frozen else _correction(log, detection)


def _correction(log: UsageLog, detection: Detection) -> Correction:
    old = log.actual_provider_name
    details = {
        "from": old,
        "to": detection.actual_provider,
        "rule": detection.rule,
        "before": {"confidence": log.confidence, "rule": log.detection_rule, "evidence": log.evidence},
    }
    kind = "" if old is None else UsageAdjustment.Kind.REDETECT
    return Correction(log, kind, first_detection.provider_values(detection), details)


def _costs_differently(log: Any, snapshot: RatingSnapshot) -> bool:  # noqa: ANN401 - any object with a log's columns
    """Whether re-pricing the log under its new provider would change its cost."""
    return any(isinstance(item, Correction) and item.kind for item in repricing.decide([log], snapshot))
