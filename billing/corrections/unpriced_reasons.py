"""Stores why calls are unpriced, on logs of releases that did not: by the current price book, as of each call's day.

A call whose price is known but has no rate for its usage gets `usage_unknown`; one without a price `price_unknown`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import partial

from billing.charges import rating
from billing.charges.rating import RatingSnapshot
from billing.corrections import apply_corrections, repricing
from billing.corrections.apply_corrections import Clock, Correction
from billing.corrections.repricing import RepricingChoice
from billing.ledger import log_search
from billing.models import UnpricedReason, UsageLog
from lib import isolation

PAGE_SIZE = 1_000  # logs per transaction
UNPRICED = RepricingChoice(unpriced=True)


def backfill(clock: Clock, problems: list[str]) -> int:
    """Set the reason on unpriced logs without one, and return their number. An account that fails is added to `problems`.

    Picks only logs that are still open, in a transaction per page: killed and run again, it continues.
    """
    names = dict(repricing.find_accounts(UNPRICED))
    counts = (isolation.attempt(partial(_backfill, pk, clock), name=names[pk], problems=problems) for pk in names)
    return sum(count or 0 for count in counts)


def _backfill(account_id: int, clock: Clock) -> int:
    snapshot, changed = rating.snapshot(), 0
    for logs in log_search.iter_pages(UNPRICED.logs(account_id).filter(unpriced_reason=None), size=PAGE_SIZE):
        ids = [log.id for log in logs]
        step = apply_corrections.apply(account_id, ids, partial(_decide, snapshot), batch=None, clock=clock)
        changed += len(step.corrections)
    return changed


def _decide(snapshot: RatingSnapshot, logs: Sequence[UsageLog], _closed: Collection[date]) -> Iterator[Correction]:
    for log in logs:
        if not log.is_priced and log.unpriced_reason is None:
            # A call that would be priced now got its price later, and waits to be re-priced.
            reason = rating.unpriced_reason(*repricing.rate(log, snapshot)) or UnpricedReason.PRICE_UNKNOWN.value
            yield Correction(log, "", {"unpriced_reason": reason}, {})
