"""Converts rows of a legacy `api_usage_logs` table (float money, seconds, naive UTC times) to usage events. Pure.

Inconsistent legacy figures are counted and reported, not corrected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from billing.errors import Refused
from billing.events import events
from billing.events.events import Event
from billing.events.lines import ImportLine
from lib import strict_json

Row = dict[str, Any]

COST_PLACES = Decimal("1E-18")
MAX_ERROR_MESSAGE = 8_000
LEGACY_PROVIDER_KEY = "legacy_actual_provider"
_RENAMED_COLUMNS = {  # legacy column -> field of the event, where only the name differs
    "endpoint": "endpoint",
    "method": "method",
    "status_code": "status_code",
    "retry_count": "retry_count",
    "request_size": "request_bytes",
    "response_size": "response_bytes",
    "user_agent": "user_agent",
    "ip_address": "ip_address",
}


@dataclass(slots=True)
class LegacyTotals:
    """Running totals over the rows read: costs in USD, as float and exact sums, and counts of inconsistencies."""

    float_cost: Any = 0  # summed in the column's own number type, as the legacy system did
    exact_cost: Decimal = Decimal(0)
    without_cost: int = 0
    mismatched_totals: int = 0  # tokens_total is not input plus output
    truncated_messages: int = 0
    provider_changes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (legacy provider, detected provider)


def to_line(row: Row, source: str, totals: LegacyTotals) -> ImportLine:
    """Convert a row to an event with the id `source:id`; add it to `totals`."""
    name = f"{source}:{row['id']}"
    try:
        return ImportLine(name, events.parse(_event_fields(row, name, totals)))
    except Refused as refused:
        return ImportLine(name, refused)
    except strict_json.BadJSON as error:
        return ImportLine(name, Refused("invalid", str(error)))


def legacy_provider(line: ImportLine) -> str:
    """The actual provider according to the legacy system, or ""."""
    return str(line.event.metadata.get(LEGACY_PROVIDER_KEY, "")) if isinstance(line.event, Event) else ""


def _event_fields(row: Row, name: str, totals: LegacyTotals) -> Row:
    tokens_in, tokens_out = row.get("tokens_input") or 0, row.get("tokens_output") or 0
    totals.mismatched_totals += (row.get("tokens_total") or 0) != tokens_in + tokens_out
    event = {
        "event_id": name,
        "account": _account(row["user_id"]),
        "occurred_at": _utc_time(row["timestamp"]),
        "provider": str(row["provider"] or "").rpartition(".")[2].strip().lower(),
        "model": row.get("model_used") or "",
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
        "response_time_ms": _milliseconds(row.get("response_time")),
        "error_message": _message(row.get("error_message") or "", totals),
        "metadata": {LEGACY_PROVIDER_KEY: _legacy_provider_name(row)} if _legacy_provider_name(row) else {},
    }
    event |= {attr: row[column] for column, attr in _RENAMED_COLUMNS.items() if row.get(column) is not None}
    cost = _cost(row, totals)
    return event if cost is None else event | {"cost_usd": cost}


def _account(user: object) -> str:
    if user is None:
        raise Refused("required", "The row has no user_id.", "account")
    return str(user)


def _legacy_provider_name(row: Row) -> str:
    return str(row.get("actual_provider_name") or "").strip()


def _cost(row: Row, totals: LegacyTotals) -> str | None:
    """The row's total cost in USD as the shortest exact decimal, or None."""
    value = row.get("cost_total")
    if value is None:
        totals.without_cost += 1
        return None
    cost = _decimal(value, "cost_usd")
    totals.float_cost += value
    totals.exact_cost += cost
    if cost.adjusted() > 6:  # far above the limit; quantize could fail
        raise Refused("max_value", "The cost is more than 1,000,000 USD.", "cost_usd")
    return f"{cost.quantize(COST_PLACES, ROUND_HALF_EVEN):f}"


def _milliseconds(seconds: object) -> int:
    if seconds is None:
        return 0
    return int((_decimal(seconds, "response_time_ms") * 1000).to_integral_value(ROUND_HALF_EVEN))


def _decimal(value: object, attr: str) -> Decimal:
    """The exact decimal of a legacy number; `str` gives the shortest form of a float."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Refused("invalid", f"Not a number: {value!r}.", attr) from error
    if not number.is_finite() or number.adjusted() > 15:
        raise Refused("invalid", f"Number out of range: {value!r}.", attr)
    return number


def _utc_time(value: object) -> str:
    """The time in ISO form; legacy times without an offset are UTC."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise Refused("invalid", f"Not a time: {value!r}.", "occurred_at") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _message(text: str, totals: LegacyTotals) -> str:
    """Truncate the message and replace control characters, so that a charge is not refused because of its message."""
    plain = "".join(char if char.isprintable() or char in "\t\n\r" else "\ufffd" for char in text)
    totals.truncated_messages += len(plain) > MAX_ERROR_MESSAGE
    return plain[:MAX_ERROR_MESSAGE]
