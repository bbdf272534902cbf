"""Re-prices recorded calls by the current price book: preview and run.

A call takes its actual provider's price of the call's day. Costs stated by callers and failed calls without usage stay as
they are; voided calls, aborted ones and calls without a detected provider are skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import QuerySet

from billing.charges import rating
from billing.charges.rating import RatingSnapshot
from billing.corrections import apply_corrections, corrections
from billing.corrections.apply_corrections import (
    CORRECTION_COLUMNS,
    BatchClosed,
    Clock,
    Correction,
    CorrectionStep,
    CostChange,
    Decision,
    Skipped,
)
from billing.corrections.batch_pass import BatchPass
from billing.events import call_failures
from billing.ledger import log_search, rollups
from billing.models import (
    Account,
    CorrectionBatch,
    CostSource,
    UsageAdjustment,
    UsageLog,
    UsageModel,
    UsageState,
)
from lib import ids, money
from providers.costing import Cost, PricedModel

__all__ = [
    "BatchClosed",
    "CorrectionStep",
    "CostChange",
    "Preview",
    "RepricingChoice",
    "decide",
    "find_accounts",
    "iter_pages",
    "preview",
    "rate",
    "revert",
    "run",
    "start",
]

REPRICEABLE_SOURCES = (CostSource.PRICE_BOOK, CostSource.FREE, CostSource.UNPRICED, CostSource.ESTIMATE)
PREVIEW_PAGE_SIZE = 2_000  # logs
MAX_PERIOD_LENGTH = timedelta(days=32)

revert = corrections.revert


@dataclass(frozen=True, slots=True)
class RepricingChoice:
    """The logs to re-price: `since` <= timestamp < `until`, actual provider, model in lower case; "" means all."""

    unpriced: bool = False
    provider: str = ""
    model: str = ""
    account: Account | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The choice of a re-pricing batch."""
        return {
            "unpriced": self.unpriced,
            "provider": self.provider,
            "model": self.model,
            "account": self.account.external_id if self.account else None,
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "until": self.until.astimezone(UTC).isoformat() if self.until else None,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> RepricingChoice:
        return cls(
            unpriced=stored["unpriced"],
            provider=stored["provider"],
            model=stored["model"],
            account=_account(stored["account"]),
            since=datetime.fromisoformat(stored["since"]) if stored["since"] else None,
            until=datetime.fromisoformat(stored["until"]) if stored["until"] else None,
        )

    def logs(self, account_id: int) -> QuerySet[UsageLog]:
        """The account's logs that a price may change; `decide` filters by model, as databases differ in LOWER."""
        logs = UsageLog.objects.filter(account_id=account_id, is_billable=True, cost_source__in=REPRICEABLE_SOURCES)
        logs = logs.only(*CORRECTION_COLUMNS)
        if self.unpriced:
            logs = logs.filter(is_priced=False)
        if self.provider:
            logs = logs.filter(actual_provider_name=self.provider)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        return logs.filter(timestamp__lt=self.until) if self.until else logs


def _account(external_id: str | None) -> Account | None:
    """Accounts are never deleted, so a stored id always finds its account."""
    return None if external_id is None else Account.objects.get(external_key=ids.lookup_key(external_id))


@dataclass(frozen=True, slots=True)
class Preview:
    """What would change, by account. `complete` is False if the maximum of logs was examined and more are left."""

    changes: tuple[CostChange, ...]
    examined: int
    complete: bool


def preview(choice: RepricingChoice, *, max_logs: int | None = None) -> Preview:
    """What `start` and `run` would do now; changes nothing, locks nothing."""
    snapshot, changes, examined, complete = rating.snapshot(), dict[str, CostChange](), 0, True
    for (_, account), logs in iter_pages(choice, min(PREVIEW_PAGE_SIZE, max_logs or PREVIEW_PAGE_SIZE)):
        if max_logs is not None and examined >= max_logs:
            complete = False
            break
        examined += len(logs)
        change, _ = _summarize(account, decide(logs, snapshot, choice.model))
        changes[account] = changes.get(account, CostChange(account)) + change
    return Preview(tuple(item for item in changes.values() if item.calls or item.unpriced), examined, complete)


def start(choice: RepricingChoice, *, reason: str, actor: str, at: datetime) -> CorrectionBatch:
    """Return the unfinished batch with this choice, or a new one."""
    kind = UsageAdjustment.Kind.REPRICE
    return corrections.start(kind=kind, choice=choice.as_json(), reason=reason, actor=actor, at=at)


def run(batch: CorrectionBatch, *, size: int, clock: Clock) -> Iterator[CorrectionStep]:
    """Re-price the batch's logs, `size` per step, then finish the batch. Each step is committed when it is yielded.

    Only logs whose cost changes are written, so a killed run can be repeated with the same result. If an account fails, the
    others are re-priced, and the batch stays unfinished: the next run retries the accounts that failed.
    Raises BatchClosed if another process finished or reverted the batch during the run.
    """
    choice, current = RepricingChoice.from_json(batch.choice), BatchPass(batch)
    if batch.finished_at is not None:
        return
    for account, logs in iter_pages(choice, size, current.only):
        yield current.step(account[1], len(logs), partial(_reprice_page, batch, choice, account, logs, clock))
    current.finish(clock())


def rate(log: UsageLog, snapshot: RatingSnapshot) -> tuple[PricedModel | None, Cost]:
    """The call's price in the price book, and its cost by that price."""
    return rating.rate_log(log, snapshot)


def decide(logs: Iterable[UsageLog], snapshot: RatingSnapshot, model: str = "") -> Iterator[Decision]:
    """The corrections and skips of re-pricing these logs; none for a log whose cost is already right."""
    for log in logs:
        if model and rollups.model_of(log) != model:
            continue
        if log.voided_at is not None:
            yield Skipped("the call is voided")
        elif log.actual_provider_name is None:
            yield Skipped("its provider is not detected yet")
        elif log.usage_state == UsageState.UNKNOWN and log.status_code == call_failures.CANCELLED:
            yield Skipped("its usage is not known, as it was aborted")
        elif log.cost_source in REPRICEABLE_SOURCES and log.is_billable and not _has_stated_cost(log):
            yield from _decision(log, *rate(log, snapshot))


def _has_stated_cost(log: UsageLog) -> bool:
    return log.resolved is not None and "cost_usd" in log.resolved


STILL_UNPRICED = "it is still unpriced"


def _decision(log: UsageLog, price: PricedModel | None, cost: Cost) -> Iterator[Decision]:
    reason = rating.unpriced_reason(price, cost)
    if (cost.total_nano, cost.billed) == (log.effective_nano, log.is_priced) or _keeps_estimate(log, cost):
        if reason != log.unpriced_reason and not log.is_priced:
            yield Correction(log, "", {"unpriced_reason": reason}, {})
        elif not log.is_priced:
            yield Skipped(STILL_UNPRICED)
        return
    if cost.total_nano > money.MAX_EVENT_NANO:
        yield Skipped("its cost would exceed the maximum of a call")
        return
    state = UsageState.COMPLETE.value if cost.billed and log.usage_state == UsageState.UNKNOWN else log.usage_state
    estimated = cost.billed and state != UsageState.COMPLETE
    details = {
        "price": price.id if price and cost.billed else None,
        "source": CostSource.ESTIMATE.value if estimated else cost.source,
        "input": cost.input_nano,
        "output": cost.output_nano,
        "other": cost.other_nano,
        "unpriced_reason": reason,
        "usage_state": state,
        "before": apply_corrections.value_as_json(log),
    }
    columns = ("effective_nano", "is_priced", "unpriced_reason", "usage_state")
    values: dict[str, Any] = dict(zip(columns, (cost.total_nano, cost.billed, reason, state), strict=True))
    yield Correction(log, UsageAdjustment.Kind.REPRICE, values, details)


def _keeps_estimate(log: UsageLog, cost: Cost) -> bool:
    """Whether an estimate is better than what the price says: nothing."""
    return log.is_estimated and log.usage_state == UsageState.UNKNOWN and not cost.billed


def _reprice_page(
    batch: CorrectionBatch, choice: RepricingChoice, account: tuple[int, str], logs: Sequence[UsageLog], clock: Clock
) -> CorrectionStep:
    """Find the changes without a lock, then decide again on these logs under the account's lock."""
    account_id, external_id = account
    snapshot = rating.snapshot()
    decisions = list(decide(logs, snapshot, choice.model))
    change, skipped = _summarize(external_id, [item for item in decisions if isinstance(item, Skipped)])
    log_ids = [item.log.id for item in decisions if isinstance(item, Correction)]
    if not log_ids:
        return CorrectionStep(len(logs), change, skipped)
    step = apply_corrections.apply(account_id, log_ids, partial(_decide_locked, snapshot), batch=batch, clock=clock)
    return CorrectionStep(len(logs), change + step.change, skipped + step.skipped)


def _decide_locked(snapshot: RatingSnapshot, logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Decision]:
    return decide(logs, snapshot)


def _summarize(account: str, decisions: Iterable[Decision]) -> tuple[CostChange, Counter[str]]:
    """Sum what the decisions change, and count skipped logs by reason; logs that stay unpriced do not count as skipped."""
    decisions = list(decisions)
    skipped = Counter(item.reason for item in decisions if isinstance(item, Skipped))
    unpriced = CostChange(account, unpriced=skipped.pop(STILL_UNPRICED, 0))
    changed = apply_corrections.summarize(account, [item for item in decisions if isinstance(item, Correction)])
    return changed + unpriced, skipped


def iter_pages(
    choice: RepricingChoice, size: int, only: Collection[str] | None = None
) -> Iterator[tuple[tuple[int, str], list[UsageLog]]]:
    """Pages of the chosen logs, newest first, each with (id, external_id) of its account; `only` names accounts."""
    for account in find_accounts(choice):
        if only is not None and account[1] not in only:
            continue
        for logs in log_search.iter_pages(choice.logs(account[0]), size=size):
            yield account, logs


def find_accounts(choice: RepricingChoice) -> list[tuple[int, str]]:
    """(id, external_id) of accounts that can have chosen logs, by the rollup, which has far fewer rows than the log."""
    if choice.account:
        return [(choice.account.pk, choice.account.external_id)]
    rows = (
        UsageModel.objects.filter(unpriced_calls__gt=0) if choice.unpriced else UsageModel.objects.filter(calls__gt=0)
    )
    if choice.provider:
        rows = rows.filter(actual=choice.provider)
    if choice.model:
        rows = rows.filter(model=choice.model)
    if choice.since:  # a late call counts in a later period, never in an earlier one
        rows = rows.filter(period__gt=choice.since.date() - MAX_PERIOD_LENGTH)
    account_ids = set(rows.values_list("account_id", flat=True).distinct())
    if choice.unpriced:  # rollups of closed periods do not show logs that lost their price after closing
        late = UsageAdjustment.objects.filter(late_at__isnull=False)
        account_ids |= set(late.values_list("account_id", flat=True).distinct())
    accounts = Account.objects.order_by("pk").values_list("pk", "external_id")
    return [(pk, external_id) for pk, external_id in accounts if pk in account_ids]
