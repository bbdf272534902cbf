"""A usage log as JSON and as CSV cells, with the same columns in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from billing.charges import charge_history, explanation, explanation_text, rating
from billing.charges.charge_history import CorrectionEffect
from billing.charges.explanation import Explanation, PriceCalculation
from billing.events.vendor_responses import informational
from billing.ledger import rollups
from billing.ledger.log_search import ListedLog
from billing.models import UsageAdjustment, UsageLog
from lib import money
from providers import rulebook
from providers.costing import CostLine

LogRow = tuple[UsageLog, list[UsageAdjustment]]  # a log with its adjustments, oldest first
AdjustmentsByLog = dict[UUID | None, list[UsageAdjustment]]  # by the id of the log
Labels = Mapping[str, str]  # display names of providers by slug
FIELDS = ListedLog._fields


def with_adjustments(logs: Sequence[UsageLog]) -> list[LogRow]:
    """Each log with its adjustments, oldest first; needs one query."""
    adjustments = _adjustments(logs)
    return [(log, adjustments.get(log.id, [])) for log in logs]


def _adjustments(logs: Sequence[Any]) -> AdjustmentsByLog:
    by_log: AdjustmentsByLog = {}
    accounts, ids = {log.account_id for log in logs}, [log.id for log in logs]
    for adjustment in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=ids).order_by("id"):
        by_log.setdefault(adjustment.log_id, []).append(adjustment)
    return by_log


def as_json_list(rows: Sequence[LogRow], labels: Labels) -> list[dict[str, Any]]:
    logs = [ListedLog.from_log(log, corrected=bool(adjustments)) for log, adjustments in rows]
    columns = _columns(logs, {log.id: adjustments for log, adjustments in rows}, labels)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def as_json(row: LogRow, labels: Labels) -> dict[str, Any]:
    return as_json_list([row], labels)[0]


def csv_rows(logs: Sequence[Any], labels: Labels) -> Iterable[tuple[object, ...]]:
    """The same values of ListedLogs as text: objects as JSON, null as an empty cell."""
    columns = _columns(logs, _adjustments([log for log in logs if log.corrected]), labels)
    return zip(*map(_as_cells, columns.values()), strict=True)


def _columns(logs: Sequence[Any], adjustments: AdjustmentsByLog, labels: Labels) -> dict[str, Iterable[Any]]:
    """The values of ListedLogs by column. This is faster than row by row, as most values are columns of the log."""
    column = dict(zip(FIELDS, zip(*logs, strict=True), strict=True)) if logs else dict.fromkeys(FIELDS, ())
    slugs = [log.display_provider for log in logs]
    return {
        "id": column["id"],
        "event_id": column["event_id"],
        "account": column["external_id"],
        "timestamp": column["timestamp"],
        "received_at": column["received_at"],
        "period": map(_format_month, column["usage_period"]),
        "late_for": map(_format_month, column["late_for"]),
        "provider": column["provider"],
        "actual_provider": slugs,
        "provider_label": [rulebook.provider_label(slug, labels) for slug in slugs],
        "confidence": [log.display_confidence for log in logs],
        "category": column["category"],
        "model": column["model_used"],
        "endpoint": column["endpoint"],
        "method": column["method"],
        **_tokens(logs, column),
        "usage": map(rating.usage_of_log, logs),
        "cost_usd": [money.exact_usd(log.effective_nano) if log.is_priced or log.voided_at else None for log in logs],
        "original_cost_usd": [money.exact_usd_or_none(charge_history.original_value(log).known_nano) for log in logs],
        "cost_source": [
            charge_history.current_source(log, adjustments[log.id]) if log.corrected else log.cost_source
            for log in logs
        ],
        "priced": column["is_priced"],
        "voided": [at is not None for at in column["voided_at"]],
        "adjustments": [_history_as_json(log, adjustments[log.id]) if log.corrected else [] for log in logs],
        "response_time_ms": column["response_time_ms"],
        "status": ["failed" if log.failed else "success" for log in logs],
        "status_code": column["status_code"],
        **{name: column[name] for name in ("error_message", "retry_count", "metadata")},
        **{name: column[name] for name in ("calls", "usage_state", "unpriced_reason")},
    }


def _tokens(logs: Sequence[Any], column: Mapping[str, Any]) -> dict[str, Iterable[int]]:
    """The tokens that count: as stated later, else as recorded."""
    names = ("tokens_input", "tokens_output", "tokens_total")
    if not any(column["resolved"]):
        return {name: column[name] for name in names}
    counted = [log.resolved["tokens"] if log.resolved else rollups.recorded_tokens(log) for log in logs]
    return dict(zip(names, zip(*counted, strict=True), strict=True))


def load(log: UsageLog) -> LogRow:
    return with_adjustments([log])[0]


# What a stored reading leaves out if it is empty.
EMPTY_READING: dict[str, Any] = {
    "model": "",
    "variant": {},
    "response_id": "",
    "cost_usd": None,
    "ignored": [],
    "unread": [],
    "unread_values": {},
    "mapped": {},
}


def _reading_as_json(stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    reading = {**EMPTY_READING, **stored}
    reasons = informational.reasons(reading["ignored"], reading["unread_values"])
    return {**reading, "ignored_reasons": reasons}


def explained_log(log: UsageLog) -> dict[str, Any]:
    """The log as JSON, with how its usage was read and the explanation of its charge."""
    row, snapshot = load(log), rating.snapshot()
    labels, why = snapshot.rules.labels, explanation.explain(*row, snapshot)
    return {
        **as_json(row, labels),
        "reading": _reading_as_json(log.reading),
        "explanation": explanation_as_json(log, why, labels),
    }


def explanation_as_json(log: UsageLog, why: Explanation, labels: Labels) -> dict[str, Any]:
    calculation = why.calculation
    return {
        "price": _price_as_json(calculation) if calculation else None,
        "lines": [_line_as_json(line, calculation) for line in calculation.lines] if calculation else [],
        "unrounded_usd": _format_decimal(calculation.unrounded_usd) if calculation else None,
        "rounding_usd": _format_decimal(why.rounding_usd) if why.rounding_usd is not None else None,
        "detection": {"rule": log.detection_rule, "evidence": log.evidence, "confidence": log.display_confidence},
        "text": explanation_text.sentences(log, why, labels),
    }


def _price_as_json(calculation: PriceCalculation) -> dict[str, Any]:
    price = calculation.price
    return {
        "id": price.id,
        "provider": price.provider,
        "model": price.pattern,
        "valid_from": price.valid_from,
        "source": price.source,
        "matched_by": price.matched_by,
    }


def _line_as_json(line: CostLine, calculation: PriceCalculation) -> dict[str, Any]:
    """`variant` and `above` identify the rate of the price, as in GET prices/."""
    rate = calculation.rates[line.unit]
    return {
        "unit": line.unit,
        "quantity": _format_decimal(line.decimal_quantity),
        "rate_usd_per_million": money.exact_usd(line.nano_per_million),
        "cost_usd": _format_decimal(line.usd),
        "variant": rate.variant,
        "above": rate.above,
    }


def _history_as_json(log: Any, adjustments: Sequence[UsageAdjustment]) -> list[dict[str, Any]]:  # noqa: ANN401 - a ListedLog
    return [_adjustment_as_json(effect) for effect in charge_history.correction_effects(log, adjustments)]


def _adjustment_as_json(effect: CorrectionEffect) -> dict[str, Any]:
    """A correction without its actor, which only operators may see."""
    adjustment = effect.adjustment
    return {
        "id": adjustment.id,
        "kind": adjustment.kind,
        "delta_usd": money.exact_usd(adjustment.delta_nano),
        "from_usd": money.exact_usd_or_none(effect.before.known_nano),
        "to_usd": money.exact_usd_or_none(effect.after.known_nano),
        "from_provider": adjustment.details.get("from"),
        "to_provider": adjustment.details.get("to"),
        "reason": adjustment.reason,
        "at": adjustment.created_at,
        "batch": adjustment.batch,
        "reverts": adjustment.details.get("reverts"),
        "reverted_by": adjustment.reverted_by,
    }


def _format_decimal(number: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=1024)
def _format_month(start: date | None) -> str | None:
    """A period is named after the month in which it starts."""
    return f"{start:%Y-%m}" if start else None


def _as_cells(values: Iterable[object]) -> Sequence[object]:
    """Format the values of one column; texts and numbers stay as they are."""
    values = list(values)
    for cell_type in CELL_FORMATTERS.keys() & set(map(type, values)):
        formatter = CELL_FORMATTERS[cell_type]
        values = [formatter(value) if type(value) is cell_type else value for value in values]
    return values


def _as_json_text(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""


CELL_FORMATTERS: dict[type, Callable[[Any], str]] = {
    bool: {True: "true", False: "false"}.__getitem__,
    dict: _as_json_text,
    list: _as_json_text,
    datetime: msgspec.to_builtins,  # as in the JSON
    UUID: msgspec.to_builtins,
}

COLUMNS = tuple(_columns([], {}, {}))
