"""What the tests of re-pricing share: calls of a model that gets its price late, and what they are worth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from billing.models import CorrectionBatch, UsageLog
from tests.billing.ledger_rows import End, record, set_price

NEW = "brand-new-1"  # a model that nobody has priced yet
USAGE = {"input_tokens": 1000, "output_tokens": 500}
CALLS: tuple[dict[str, Any], ...] = (
    {"model": NEW, "cost_usd": None, "usage": USAGE},
    {"model": NEW.upper(), "cost_usd": None, "usage": {"input_tokens": 1}},
    {"model": NEW, "cost_usd": "3", "usage": USAGE},
    {"model": NEW, "cost_usd": None, "status_code": 500},
    {"model": "gpt-4o", "cost_usd": None, "usage": USAGE},
    {"model": NEW, "cost_usd": None, "usage": USAGE, "account": "b", "provider": "anthropic"},
    {"model": NEW, "cost_usd": None, "usage": USAGE, "account": "b"},
    {"model": NEW, "cost_usd": None, "usage": {"seconds": "5"}, "account": "b"},
)


def worths() -> dict[str, tuple[int, bool]]:
    rows = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced")
    return {event: (nano, priced) for event, nano, priced in rows}


def batch_of(end: End) -> CorrectionBatch:
    return CorrectionBatch.objects.get(pk=UUID(end.lines[-1].partition("Batch ")[2].split(".")[0]))


def priced() -> None:
    record(*CALLS)
    set_price(NEW, input_tokens="2", output_tokens="10")
