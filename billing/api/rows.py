"""A usage log as a row: the API's JSON and the CSV's cells, with the same names in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from billing import rating
from billing.api.schema import LOG_FIELDS
from billing.api.shapes import usd
from billing.explanation import Explanation, plain
from billing.models import UsageAdjustment
from lib import money

COLUMNS = tuple(LOG_FIELDS)
Row = tuple[Any, list[UsageAdjustment]]  # a log in any form that has the columns, with its adjustments


def with_adjustments(logs: Sequence[Any]) -> list[Row]:
    """Each log with its adjustments, oldest first; one query for all of them."""
    by_log: dict[Any, list[UsageAdjustment]] = {log.id: [] for log in logs}
    accounts = {log.account_id for log in logs}
    for adjustment in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=by_log).order_by("id"):
        by_log[adjustment.log_id].append(adjustment)
    return [(log, by_log[log.id]) for log in logs]


def log(row: Row, labels: Mapping[str, str]) -> dict[str, Any]:
    one, adjustments = row
    return {
        "id": one.id,
        "event_id": one.event_id,
        "account": one.external_id,
        "timestamp": one.timestamp,
        "received_at": one.received_at,
        "period": f"{one.usage_period:%Y-%m}",
        "late_for": f"{one.late_for:%Y-%m}" if one.late_for else None,
        "provider": one.provider,
        "actual_provider": one.shown_provider,
        "provider_label": labels.get(one.shown_provider, one.shown_provider),
        "confidence": one.shown_confidence,
        "category": one.category,
        "model": one.model_used,
        "endpoint": one.endpoint,
        "method": one.method,
        "tokens_input": one.tokens_input,
        "tokens_output": one.tokens_output,
        "tokens_total": one.tokens_total,
        "usage": rating.usage_of(one),
        "cost_usd": usd(one.effective_nano) if one.is_priced or one.voided_at else None,
        "original_cost_usd": usd(one.cost_total) if one.cost_source != "unpriced" else None,
        "cost_source": one.cost_source,
        "priced": one.is_priced,
        "voided": one.voided_at is not None,
        "adjustments": [_adjustment(adjustment) for adjustment in adjustments],
        "response_time_ms": one.response_time_ms,
        "status": "failed" if one.failed else "success",
        "status_code": one.status_code,
        "error_message": one.error_message,
        "retry_count": one.retry_count,
        "metadata": one.metadata,
    }


def cells(row: Row, labels: Mapping[str, str]) -> list[object]:
    """The same values as text cells: objects as JSON, nothing as an empty cell."""
    return [_cell(value) for value in log(row, labels).values()]


def explained(why: Explanation) -> dict[str, Any]:
    return {
        "price": _price(why),
        "lines": [
            {
                "unit": line.unit,
                "quantity": plain(line.amount),
                "rate_usd_per_million": money.text(line.nano_per_million),
                "cost_usd": plain(line.usd),
            }
            for line in why.lines
        ],
        "unrounded_usd": None if why.unrounded_usd is None else plain(why.unrounded_usd),
        "rounding_usd": None if why.rounding_usd is None else plain(why.rounding_usd),
        "detection": {"rule": why.rule, "evidence": why.evidence, "confidence": why.confidence},
        "text": list(why.text),
    }


def _price(why: Explanation) -> dict[str, Any] | None:
    if why.price is None:
        return None
    return {
        "id": why.price.id,
        "provider": why.price.provider,
        "model": why.price.pattern,
        "valid_from": why.price.valid_from,
        "source": why.price.source,
        "matched_by": why.price.matched_by,
    }


def _adjustment(one: UsageAdjustment) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "delta_usd": money.text(one.delta_nano),
        "reason": one.reason,
        "at": one.created_at,
    }


def _cell(value: object) -> object:
    write = CELLS.get(type(value))
    return write(value) if write else value


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""


CELLS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    dict: _json,
    list: _json,
    datetime: msgspec.to_builtins,  # as the JSON has it
}
