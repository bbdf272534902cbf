"""Moving what stored logs are worth and who served them. Every correction ends in `correct`.

One transaction for some logs of one account: the account is locked, the logs are read, what becomes of each is decided,
then move the logs, the adjustments that explain it, the batch, and the rollups last. What was read stays true until the
commit; recording only inserts, and waits for nobody. Logs of a closed period move alone:
their adjustments count in the open period, and the rollups of the closed one stay. (A first name corrects nothing, and moves
them: it says who stood there all the time.)
"""

from __future__ import annotations

from collections import Counter, namedtuple
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from billing.accounts import accounts
from billing.ledger import closed_periods, rollups
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from billing.models.usage import ProviderDisplay
from lib import bulk_update, retry

WORTH = ("effective_nano", "is_priced", "voided_at")
NAMES = ("actual_provider_name", "confidence", "detection_rule", "evidence")
WORTH_OF, NAMES_OF = attrgetter(*WORTH), attrgetter(*NAMES)
# What the rollups and a price need of a log; and what a correction needs on top.
COUNTED = (
    *("account_id", "usage_day", "usage_period", "late_for", "timestamp", "received_at", *WORTH),
    *("actual_provider_name", "confidence", "provider", "category", "model_used", "status_code", "response_time_ms"),
    *("tokens_input", "tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write"),
    *("units", "variant", "cached_included", "cost_source", "is_billable"),
)
_Counted: Any = namedtuple("_Counted", COUNTED)  # type: ignore[misc]  # names from above
NEEDED = (*COUNTED, "cost_total", "detection_rule", "evidence", "endpoint", "served_by")
ARCHIVED = "archived with its period"  # why a log is skipped
_NO_NAME: dict[str, Any] = {"actual_provider_name": None, "confidence": ""}


class Counted(ProviderDisplay, _Counted):
    """A log with the columns of COUNTED, without the cost of a model instance."""

    __slots__ = ()

    def unnamed(self) -> Any:  # noqa: ANN401 - as for the columns
        return self._replace(**_NO_NAME)


class Correction(NamedTuple):
    """What becomes of one log: the columns that change, and the adjustment that says so.

    `kind` "" makes no adjustment: a first name corrects nothing. `reverts` is the adjustment that this one undoes.
    """

    log: UsageLog
    kind: str
    values: dict[str, Any]
    details: dict[str, Any]
    reverts: UUID | None = None

    @property
    def delta(self) -> int:
        """Nano-USD; asked before the log is moved."""
        return int(self.values.get("effective_nano", self.log.effective_nano)) - self.log.effective_nano


class Skipped(NamedTuple):
    """A log that cannot be corrected, and why, in a few words."""

    reason: str


Decision = Correction | Skipped
Plan = Callable[[Sequence[UsageLog], Collection[date]], Iterable[Decision]]  # of the logs and the closed periods


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to calls of one account: how many change, from and to which total.

    `priced` of them had no price before; `unpriced` calls, changed or not, have none afterwards.
    """

    account: str
    calls: int = 0
    old_nano: int = 0
    new_nano: int = 0
    priced: int = 0
    unpriced: int = 0

    @property
    def delta_nano(self) -> int:
        return self.new_nano - self.old_nano

    def __add__(self, more: Change) -> Change:
        return Change(
            self.account,
            self.calls + more.calls,
            self.old_nano + more.old_nano,
            self.new_nano + more.new_nano,
            self.priced + more.priced,
            self.unpriced + more.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a run, committed: the logs looked at, what became of them, and how many were skipped for which reason."""

    looked: int
    change: Change
    skipped: Counter[str] = field(default_factory=Counter)
    made: Sequence[Correction] = ()


class BatchClosed(Exception):
    """The batch was finished or reverted by somebody else while this run went on; its last step is undone."""


def apply(account_id: int, ids: Collection[UUID], plan: Plan, *, batch: CorrectionBatch | None, at: datetime) -> Step:
    """Correct these logs of one account as `plan` decides, and commit. Without a batch there are first names only.

    Raises BatchClosed.
    """
    return retry.on_deadlock(partial(_correct, account_id, ids, plan, batch, at))


@transaction.atomic
def _correct(account_id: int, ids: Collection[UUID], plan: Plan, batch: CorrectionBatch | None, at: datetime) -> Step:
    account = accounts.lock(account_id)
    closed, sealed = closed_periods.closed(account_id), closed_periods.sealed(account_id)
    logs = list(_held(UsageLog.objects.filter(id__in=ids, account_id=account_id).exclude(usage_period__in=sealed)))
    decisions = list(plan(logs, closed))
    corrections = [one for one in decisions if isinstance(one, Correction)]
    skipped = Counter(one.reason for one in decisions if isinstance(one, Skipped))
    if missing := len(ids) - len(logs):
        skipped[ARCHIVED] = missing
    change = summarize(account.external_id, corrections)
    if corrections:
        _move(account, corrections, batch, closed, at)
    return Step(len(logs), change, skipped, corrections)


def _held(logs: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
    """The rows locked as well: the backfill gives first names to logs of many accounts, and holds none of these."""
    no_key = connection.features.has_select_for_no_key_update
    return logs.select_for_update(no_key=no_key).order_by("id").only(*NEEDED)


def set_values(one: Correction) -> None:
    """The log in memory as the correction leaves it."""
    for name, value in one.values.items():
        setattr(one.log, name, value)


def summarize(account: str, corrections: Iterable[Correction]) -> Change:
    """The corrections of one account in figures; asked before they are made."""
    change = Change(account)
    for one in corrections:
        priced = one.values.get("is_priced", one.log.is_priced)
        old = one.log.effective_nano
        change += Change(account, 1, old, old + one.delta, int(priced and not one.log.is_priced), int(not priced))
    return change


def _move(
    account: Account,
    corrections: Sequence[Correction],
    batch: CorrectionBatch | None,
    closed: Collection[date],
    at: datetime,
) -> None:
    """The one order of locks: logs, adjustments, batch, rollups."""
    counted = [one.log for one in corrections if not one.kind or one.log.usage_period not in closed]
    before = rollups.group(counted)
    now_open = closed_periods.open_period(account, closed, at)
    told = [(one, _adjustment(one, batch, closed, now_open, at)) for one in corrections if batch and one.kind]
    _write(corrections)
    UsageAdjustment.objects.bulk_create([adjustment for _, adjustment in told], batch_size=500)
    _mark_reverted([(adjustment.id, one.reverts, account.pk) for one, adjustment in told if one.reverts])
    if batch and told:
        _count(batch, len(told), sum(adjustment.delta_nano for _, adjustment in told))
    rollups.apply(rollups.minus(rollups.group(counted), before))


def _adjustment(
    one: Correction, batch: CorrectionBatch, closed: Collection[date], now_open: date, at: datetime
) -> UsageAdjustment:
    period = one.log.usage_period
    late = period in closed
    return UsageAdjustment(
        account_id=one.log.account_id,
        log_id=one.log.id,
        kind=one.kind,
        delta_nano=one.delta,
        reason=batch.reason,
        actor=batch.actor,
        batch=batch.id,
        period=now_open if late else period,
        corrects_period=period,
        details=one.details,
        created_at=at,
        late_at=at if late else None,
    )


def _write(corrections: Sequence[Correction]) -> None:
    """The logs' columns: worths differ from log to log, names are few."""
    worths: list[tuple[Any, ...]] = []
    named: dict[tuple[Any, ...], list[UUID]] = {}
    for one in corrections:
        set_values(one)
        if not one.values.keys().isdisjoint(WORTH):
            worths.append((*WORTH_OF(one.log), one.log.id, one.log.account_id))
        if not one.values.keys().isdisjoint(NAMES):
            named.setdefault(NAMES_OF(one.log), []).append(one.log.id)
    bulk_update.update(connection, UsageLog, WORTH, ("id", "account_id"), worths)
    for values, ids in named.items():
        UsageLog.objects.filter(id__in=ids).update(**dict(zip(NAMES, values, strict=True)))


def _mark_reverted(undone: Sequence[tuple[UUID, UUID, int]]) -> None:
    """What is undone says by what; once, whoever tries it."""
    keys = ("id", "account_id")
    if bulk_update.update(connection, UsageAdjustment, ("reverted_by",), keys, undone, unless="reverted_by") != len(
        undone
    ):
        raise BatchClosed


def _count(batch: CorrectionBatch, logs: int, delta: int) -> None:
    """In the transaction of the logs, so that a batch never says more or less than it did. Raises BatchClosed."""
    if batch.finished_at is not None:  # one correction by itself: the batch is stored with it
        batch.logs, batch.delta_nano = logs, delta
        batch.save(force_insert=True)
        return
    running = CorrectionBatch.objects.filter(pk=batch.pk, finished_at=None)
    if not running.update(logs=F("logs") + logs, delta_nano=F("delta_nano") + delta):
        raise BatchClosed
