"""Shared by re-pricing tests: calls of a model that is priced after they are recorded, and their charges."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from billing.models import CorrectionBatch, UsageLog
from tests.billing.ledger_rows import CommandResult, record, set_price

NEW_MODEL = "brand-new-1"  # a model without a price
USAGE = {"input_tokens": 1000, "output_tokens": 500}
MIXED_CALLS: tuple[dict[str, Any], ...] = (
    {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE},
    {"model": NEW_MODEL.upper(), "cost_usd": None, "usage": {"input_tokens": 1}},
    {"model": NEW_MODEL, "cost_usd": "3", "usage": USAGE},
    {"model": NEW_MODEL, "cost_usd": None, "status_code": 500},
    {"model": "gpt-4o", "cost_usd": None, "usage": USAGE},
    {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE, "account": "b", "provider": "anthropic"},
    {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE, "account": "b"},
    {"model": NEW_MODEL, "cost_usd": None, "usage": {"seconds": "5"}, "account": "b"},
)


def charges_by_event() -> dict[str, tuple[int, bool]]:
    """Current charge in nano-USD, and whether it is priced, by event id."""
    rows = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced")
    return {event: (nano, priced) for event, nano, priced in rows}


def batch_in_output(end: CommandResult) -> CorrectionBatch:
    return CorrectionBatch.objects.get(pk=UUID(end.lines[-1].partition("Batch ")[2].split(".")[0]))


def record_then_price() -> None:
    record(*MIXED_CALLS)
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
