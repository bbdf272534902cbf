"""Finds priced calls that a re-pricing by the present rules and prices would make unpriced, by model and reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from billing.charges import rating
from billing.corrections import repricing
from billing.corrections.apply_corrections import Correction
from billing.corrections.repricing import RepricingChoice
from billing.ledger import rollups

PAGE_SIZE = 2_000  # logs
MAX_MODELS = 10_000  # counted apart: the names are callers' texts
OTHER_MODELS = "(other models)"


class ModelReason(NamedTuple):
    provider: str  # the actual one
    model: str  # in lower case
    reason: str  # an UnpricedReason


class LostPrices(NamedTuple):
    """Calls that would turn unpriced, and what they cost now."""

    calls: int
    cost_nano: int


Totals = dict[ModelReason, LostPrices]


def scan(choice: RepricingChoice, totals: Totals) -> Iterator[int]:
    """Add the choice's calls to `totals` page by page; yields the number of logs of each page. Changes nothing."""
    snapshot = rating.snapshot()
    for _, logs in repricing.iter_pages(choice, PAGE_SIZE):
        for decision in repricing.decide(logs, snapshot, choice.model):
            if isinstance(decision, Correction) and decision.log.is_priced and not decision.values["is_priced"]:
                _add(totals, decision)
        yield len(logs)


def _add(totals: Totals, correction: Correction) -> None:
    log = correction.log
    key = ModelReason(log.display_provider, rollups.model_of(log), correction.values["unpriced_reason"])
    if key not in totals and len(totals) >= MAX_MODELS:
        key = ModelReason("", OTHER_MODELS, key.reason)
    calls, cost_nano = totals.get(key, LostPrices(0, 0))
    totals[key] = LostPrices(calls + log.calls, cost_nano + log.effective_nano)


def in_order(totals: Totals) -> list[tuple[ModelReason, LostPrices]]:
    """The highest cost first."""
    return sorted(totals.items(), key=lambda item: (-item[1].cost_nano, -item[1].calls, item[0]))
