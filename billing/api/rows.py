"""A usage log as a row: the API's JSON and the CSV's cells, with the same names in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from billing import explanation, rating, sentences, standing
from billing.api.schema import LOG_FIELDS
from billing.api.shapes import usd
from billing.explanation import Explanation, Priced
from billing.models import UsageAdjustment, UsageLog
from billing.standing import Step
from lib import money
from providers.costing import Line

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
        "cost_source": standing.charge(one, adjustments).source if adjustments else one.cost_source,
        "priced": one.is_priced,
        "voided": one.voided_at is not None,
        "adjustments": [_adjustment(step) for step in standing.history(one, adjustments)],
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


def of(one: UsageLog) -> Row:
    return with_adjustments([one])[0]


def whole(one: UsageLog) -> dict[str, Any]:
    """A log with its explanation, as `usage/logs/{id}/` and `explain_charge` tell it."""
    row, edition = of(one), rating.books()
    labels = edition.rules.labels
    return {**log(row, labels), "explanation": explained(one, explanation.explain(*row, edition), labels)}


def explained(one: UsageLog, why: Explanation, labels: Mapping[str, str]) -> dict[str, Any]:
    priced = why.priced
    return {
        "price": _price(priced) if priced else None,
        "lines": [_line(line, priced) for line in priced.lines] if priced else [],
        "unrounded_usd": _plain(priced.unrounded_usd) if priced else None,
        "rounding_usd": _plain(why.rounding_usd) if why.rounding_usd is not None else None,
        "detection": {"rule": one.detection_rule, "evidence": one.evidence, "confidence": one.shown_confidence},
        "text": sentences.of(one, why, labels),
    }


def _price(priced: Priced) -> dict[str, Any]:
    price = priced.price
    return {
        "id": price.id,
        "provider": price.provider,
        "model": price.pattern,
        "valid_from": price.valid_from,
        "source": price.source,
        "matched_by": price.matched_by,
    }


def _line(line: Line, priced: Priced) -> dict[str, Any]:
    """`variant` and `above` say which of the price's rates held, as GET prices/ names them."""
    rate = priced.rates[line.unit]
    return {
        "unit": line.unit,
        "quantity": _plain(line.amount),
        "rate_usd_per_million": money.text(line.nano_per_million),
        "cost_usd": _plain(line.usd),
        "variant": rate.variant,
        "above": rate.above,
    }


def _adjustment(step: Step) -> dict[str, Any]:
    """What a customer may know of a correction; who made it is the operators' affair."""
    one = step.adjustment
    return {
        "id": one.id,
        "kind": one.kind,
        "delta_usd": money.text(one.delta_nano),
        "from_usd": usd(step.before.known_nano),
        "to_usd": usd(step.after.known_nano),
        "from_provider": one.details.get("from"),
        "to_provider": one.details.get("to"),
        "reason": one.reason,
        "at": one.created_at,
        "batch": one.batch,
        "reverts": one.details.get("reverts"),
        "reverted_by": one.reverted_by,
    }


def _plain(number: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


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
