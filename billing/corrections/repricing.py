"""Rating recorded calls again by today's price book: what would change, and changing it. Called by `reprice` and the admin.

A call's price is that of its own day and of the provider that served it. Costs that callers stated stay, as do failed calls
without usage; voided calls and calls without a detected provider are skipped.
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
from billing.corrections.apply_corrections import NEEDED, BatchClosed, Change, Correction, Decision, Skipped, Step
from billing.ledger import log_search, rollups
from billing.models import Account, CorrectionBatch, CostSource, UsageAdjustment, UsageLog, UsageModel
from lib import ids, money
from providers import costing
from providers.costing import Cost, PricedModel

__all__ = ["BatchClosed", "Change", "Choice", "Preview", "Step", "go_on", "preview", "rated", "revert", "start"]

RATED = (CostSource.PRICE_BOOK, CostSource.FREE, CostSource.UNPRICED)  # what a price may change
LOOKED = 2_000  # logs that a preview reads at a time
LONGEST_PERIOD = timedelta(days=32)

revert = corrections.revert


@dataclass(frozen=True, slots=True)
class Choice:
    """Which logs: `since` and `until` are half-open instants, `provider` the actual one, `model` in lower case; "" = all."""

    unpriced: bool = False
    provider: str = ""
    model: str = ""
    account: Account | None = None
    since: datetime | None = None
    until: datetime | None = None

    def stored(self) -> dict[str, Any]:
        """As a batch keeps it."""
        return {
            "unpriced": self.unpriced,
            "provider": self.provider,
            "model": self.model,
            "account": self.account.external_id if self.account else None,
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "until": self.until.astimezone(UTC).isoformat() if self.until else None,
        }

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Choice:
        return cls(
            unpriced=stored["unpriced"],
            provider=stored["provider"],
            model=stored["model"],
            account=_account(stored["account"]),
            since=datetime.fromisoformat(stored["since"]) if stored["since"] else None,
            until=datetime.fromisoformat(stored["until"]) if stored["until"] else None,
        )

    def logs(self, account_id: int) -> QuerySet[UsageLog]:
        """The account's logs that a price may change; the model is told from the log itself, as LOWER differs."""
        logs = UsageLog.objects.filter(account_id=account_id, is_billable=True, cost_source__in=RATED).only(*NEEDED)
        if self.unpriced:
            logs = logs.filter(is_priced=False)
        if self.provider:
            logs = logs.filter(actual_provider_name=self.provider)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        return logs.filter(timestamp__lt=self.until) if self.until else logs


def _account(external_id: str | None) -> Account | None:
    """Accounts are never deleted: a stored choice never comes to mean all of them."""
    return None if external_id is None else Account.objects.get(external_key=ids.key_of(external_id))


@dataclass(frozen=True, slots=True)
class Preview:
    """What would change, by account. Not `complete` where as many logs were looked at as was asked for, and more are left."""

    changes: tuple[Change, ...]
    looked: int
    complete: bool


def preview(choice: Choice, *, most: int | None = None) -> Preview:
    """What `start` and `go_on` would do now; changes nothing, locks nothing."""
    books, found, looked, complete = rating.snapshot(), dict[str, Change](), 0, True
    for (_, name), logs in _pages(choice, min(LOOKED, most or LOOKED)):
        if most is not None and looked >= most:
            complete = False
            break
        looked += len(logs)
        change, _ = _told(name, decided(logs, books, choice.model))
        found[name] = found.get(name, Change(name)) + change
    return Preview(tuple(one for one in found.values() if one.calls or one.unpriced), looked, complete)


def start(choice: Choice, *, reason: str, actor: str, at: datetime) -> CorrectionBatch:
    """The batch of this choice, new or unfinished."""
    return corrections.start(
        kind=UsageAdjustment.Kind.REPRICE, choice=choice.stored(), reason=reason, actor=actor, at=at
    )


def go_on(batch: CorrectionBatch, *, size: int, at: datetime) -> Iterator[Step]:
    """Rate the batch's logs again, `size` a step; each step is committed when it comes out, and the batch finished last.

    Only what today's book rates otherwise is touched: killed at any moment and run again, it ends in the same state.
    Raises BatchClosed where somebody else finished or reverted the batch meanwhile.
    """
    choice, skipped = Choice.of(batch.choice), Counter[str]()
    if batch.finished_at is not None:
        return
    for account, logs in _pages(choice, size):
        step = _step(batch, choice, account, logs, at)
        skipped += step.skipped
        yield step
    corrections.finish(batch, skipped=skipped.total(), at=at)


def rated(log: UsageLog, books: RatingSnapshot) -> tuple[PricedModel | None, Cost]:
    """The price that the book has for the call, and what it makes it cost."""
    price = books.prices.find(log.shown_provider, log.model_used, log.timestamp.astimezone(UTC).date())
    return price, costing.cost(price, rating.quantities_of_log(log)) if price else rating.NOTHING


def decided(logs: Iterable[UsageLog], books: RatingSnapshot, model: str = "") -> Iterator[Decision]:
    """The corrections that rating these logs again makes; nothing for a log that costs what it should."""
    for log in logs:
        if model and rollups.model_of(log) != model:
            continue
        if log.voided_at is not None:
            yield Skipped("voided")
        elif log.actual_provider_name is None:
            yield Skipped("not detected yet")
        elif log.cost_source in RATED and log.is_billable:
            yield from _decision(log, *rated(log, books))


STAYS = "still without a price"


def _decision(log: UsageLog, price: PricedModel | None, cost: Cost) -> Iterator[Decision]:
    if (cost.total_nano, cost.billed) == (log.effective_nano, log.is_priced):
        if not log.is_priced:
            yield Skipped(STAYS)
        return
    if cost.total_nano > money.EVENT_LIMIT_NANO:
        yield Skipped("dearer than a call may be")
        return
    details = {
        "price": price.id if price and cost.billed else None,
        "source": cost.source,
        "input": cost.input_nano,
        "output": cost.output_nano,
        "other": cost.other_nano,
        "before": {"nano": log.effective_nano, "priced": log.is_priced},
    }
    values = {"effective_nano": cost.total_nano, "is_priced": cost.billed}
    yield Correction(log, UsageAdjustment.Kind.REPRICE, values, details)


def _step(
    batch: CorrectionBatch, choice: Choice, account: tuple[int, str], logs: Sequence[UsageLog], at: datetime
) -> Step:
    """Look without a lock at what would change, and decide anew on those logs once the account is held."""
    account_id, name = account
    books = rating.snapshot()
    decisions = list(decided(logs, books, choice.model))
    step = Step(len(logs), *_told(name, [one for one in decisions if isinstance(one, Skipped)]))
    log_ids = [one.log.id for one in decisions if isinstance(one, Correction)]
    if not log_ids:
        return step
    done = apply_corrections.apply(account_id, log_ids, partial(_again, books), batch=batch, at=at)
    return Step(len(logs), step.change + done.change, step.skipped + done.skipped)


def _again(books: RatingSnapshot, logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Decision]:
    return decided(logs, books)


def _told(account: str, decisions: Iterable[Decision]) -> tuple[Change, Counter[str]]:
    """What the decisions change, and why logs are skipped; a log that stays without a price is no skipped one."""
    decisions = list(decisions)
    skipped = Counter(one.reason for one in decisions if isinstance(one, Skipped))
    stay = Change(account, unpriced=skipped.pop(STAYS, 0))
    return apply_corrections.summarize(
        account, [one for one in decisions if isinstance(one, Correction)]
    ) + stay, skipped


def _pages(choice: Choice, size: int) -> Iterator[tuple[tuple[int, str], list[UsageLog]]]:
    """The chosen logs account by account, newest first, each page beside the account's ids."""
    for account in _accounts(choice):
        for logs in log_search.pages(choice.logs(account[0]), size=size):
            yield account, logs


def _accounts(choice: Choice) -> list[tuple[int, str]]:
    """Where such logs can be, by the rollup: its rows are few beside the log's."""
    if choice.account:
        return [(choice.account.pk, choice.account.external_id)]
    found = (
        UsageModel.objects.filter(unpriced_calls__gt=0) if choice.unpriced else UsageModel.objects.filter(calls__gt=0)
    )
    if choice.provider:
        found = found.filter(actual=choice.provider)
    if choice.model:
        found = found.filter(model=choice.model)
    if choice.since:  # a late call counts in a later period, never in an earlier one
        found = found.filter(period__gt=choice.since.date() - LONGEST_PERIOD)
    account_ids = set(found.values_list("account_id", flat=True).distinct())
    if choice.unpriced:  # the rollups of a closed period don't tell that a price was taken back since
        late = UsageAdjustment.objects.filter(late_at__isnull=False)
        account_ids |= set(late.values_list("account_id", flat=True).distinct())
    return [
        (pk, name) for pk, name in Account.objects.order_by("pk").values_list("pk", "external_id") if pk in account_ids
    ]
