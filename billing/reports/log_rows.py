"""A usage log as a row: the API's JSON and the CSV's cells, with the same names in the same order."""

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
from billing.charges.explanation import Explanation, Priced
from billing.ledger.log_search import Listed
from billing.models import UsageAdjustment, UsageLog
from lib import money
from providers.costing import Line

Row = tuple[UsageLog, list[UsageAdjustment]]  # a log with its adjustments, oldest first
Corrected = dict[UUID | None, list[UsageAdjustment]]  # by the id of the log
Labels = Mapping[str, str]  # the shown names of providers by slug


def with_adjustments(logs: Sequence[UsageLog]) -> list[Row]:
    """Each log with its adjustments, oldest first; one query for all of them."""
    found = _adjustments(logs)
    return [(log, found.get(log.id, [])) for log in logs]


def _adjustments(logs: Sequence[Any]) -> Corrected:
    found: Corrected = {}
    accounts, ids = {log.account_id for log in logs}, [log.id for log in logs]
    for adjustment in UsageAdjustment.objects.filter(account_id__in=accounts, log_id__in=ids).order_by("id"):
        found.setdefault(adjustment.log_id, []).append(adjustment)
    return found


def records(rows: Sequence[Row], labels: Labels) -> list[dict[str, Any]]:
    """The rows as JSON objects."""
    logs = [Listed.of(one, corrected=bool(adjustments)) for one, adjustments in rows]
    told = _columns(logs, {one.id: adjustments for one, adjustments in rows}, labels)
    return [dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)]


def log(row: Row, labels: Labels) -> dict[str, Any]:
    return records([row], labels)[0]


def lines(logs: Sequence[Any], labels: Labels) -> Iterable[tuple[object, ...]]:
    """The same values of Listed logs as text cells: objects as JSON, nothing as an empty cell."""
    told = _columns(logs, _adjustments([one for one in logs if one.corrected]), labels)
    return zip(*map(_cells, told.values()), strict=True)


def _columns(logs: Sequence[Any], corrected: Corrected, labels: Labels) -> dict[str, Iterable[Any]]:
    """What rows say, by name: a value for each log. By columns, as most values are what the log's column says."""
    of = dict(zip(Listed._fields, zip(*logs, strict=True), strict=True)) if logs else dict.fromkeys(Listed._fields, ())
    slugs = [log.shown_provider for log in logs]
    return {
        "id": of["id"],
        "event_id": of["event_id"],
        "account": of["external_id"],
        "timestamp": of["timestamp"],
        "received_at": of["received_at"],
        "period": map(_month, of["usage_period"]),
        "late_for": map(_month, of["late_for"]),
        "provider": of["provider"],
        "actual_provider": slugs,
        "provider_label": [labels.get(slug, slug) for slug in slugs],
        "confidence": [log.shown_confidence for log in logs],
        "category": of["category"],
        "model": of["model_used"],
        "endpoint": of["endpoint"],
        "method": of["method"],
        "tokens_input": of["tokens_input"],
        "tokens_output": of["tokens_output"],
        "tokens_total": of["tokens_total"],
        "usage": map(rating.usage_of, logs),
        "cost_usd": [money.exact_usd(log.effective_nano) if log.is_priced or log.voided_at else None for log in logs],
        "original_cost_usd": [money.exact_usd_or_none(charge_history.original_value(log).known_nano) for log in logs],
        "cost_source": [
            charge_history.current_source(log, corrected[log.id]) if log.corrected else log.cost_source for log in logs
        ],
        "priced": of["is_priced"],
        "voided": [at is not None for at in of["voided_at"]],
        "adjustments": [_history(log, corrected[log.id]) if log.corrected else [] for log in logs],
        "response_time_ms": of["response_time_ms"],
        "status": ["failed" if log.failed else "success" for log in logs],
        "status_code": of["status_code"],
        "error_message": of["error_message"],
        "retry_count": of["retry_count"],
        "metadata": of["metadata"],
    }


def of(one: UsageLog) -> Row:
    return with_adjustments([one])[0]


def whole(one: UsageLog) -> dict[str, Any]:
    """A log with its explanation, as `usage/logs/{id}/` and `explain_charge` tell it."""
    row, edition = of(one), rating.snapshot()
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
        "text": explanation_text.of(one, why, labels),
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
        "rate_usd_per_million": money.exact_usd(line.nano_per_million),
        "cost_usd": _plain(line.usd),
        "variant": rate.variant,
        "above": rate.above,
    }


def _history(one: Any, adjustments: Sequence[UsageAdjustment]) -> list[dict[str, Any]]:  # noqa: ANN401 - as standing takes it
    return [_adjustment(step) for step in charge_history.history(one, adjustments)]


def _adjustment(step: CorrectionEffect) -> dict[str, Any]:
    """What a customer may know of a correction; who made it is the operators' affair."""
    one = step.adjustment
    return {
        "id": one.id,
        "kind": one.kind,
        "delta_usd": money.exact_usd(one.delta_nano),
        "from_usd": money.exact_usd_or_none(step.before.known_nano),
        "to_usd": money.exact_usd_or_none(step.after.known_nano),
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


@lru_cache(maxsize=1024)
def _month(start: date | None) -> str | None:
    """A period by the month in which it starts."""
    return f"{start:%Y-%m}" if start else None


def _cells(values: Iterable[object]) -> Sequence[object]:
    """One column's values as cells. Most columns hold nothing but texts and numbers, and stay as they are."""
    values = list(values)
    for kind in CELLS.keys() & set(map(type, values)):
        write = CELLS[kind]
        values = [write(value) if type(value) is kind else value for value in values]
    return values


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""


CELLS: dict[type, Callable[[Any], str]] = {
    bool: {True: "true", False: "false"}.__getitem__,
    dict: _json,
    list: _json,
    datetime: msgspec.to_builtins,  # as the JSON has it
    UUID: msgspec.to_builtins,
}

COLUMNS = tuple(_columns([], {}, {}))
