"""Rows of an older `api_usage_logs` table as usage events: float money, seconds, naive UTC times. Pure.

What the older system got wrong is told, not mended: its own figures come in as they are.
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
from billing.events.lines import Line
from lib import strict_json

Row = dict[str, Any]

PLACES = Decimal("1E-18")
ERROR_MESSAGE = 8_000
OLD_NAME = "legacy_actual_provider"
_SAME = {  # the older column and the event's field, where only the name differs
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
class Read:
    """What was seen in the older table so far: its costs, as the sum of its own numbers and exactly, and its oddities."""

    native: Any = 0  # added as the older system did it
    exact: Decimal = Decimal(0)
    without_cost: int = 0
    odd_totals: int = 0  # tokens_total is not input plus output
    cut_messages: int = 0
    differences: Counter[tuple[str, str]] = field(default_factory=Counter)  # older provider name, ours


def line(row: Row, source: str, seen: Read) -> Line:
    """A row as the event `source:id`, counted in `seen`."""
    name = f"{source}:{row['id']}"
    try:
        return Line(name, events.parse(_event(row, name, seen)))
    except Refused as refused:
        return Line(name, refused)
    except strict_json.BadJSON as error:
        return Line(name, Refused("invalid", str(error)))


def old_name(one: Line) -> str:
    """The provider that the older system named for an event, "" where it named none."""
    return str(one.event.metadata.get(OLD_NAME, "")) if isinstance(one.event, Event) else ""


def _event(row: Row, name: str, seen: Read) -> Row:
    tokens_in, tokens_out = row.get("tokens_input") or 0, row.get("tokens_output") or 0
    seen.odd_totals += (row.get("tokens_total") or 0) != tokens_in + tokens_out
    event = {
        "event_id": name,
        "account": _account(row["user_id"]),
        "occurred_at": _moment(row["timestamp"]),
        "provider": str(row["provider"] or "").rpartition(".")[2].strip().lower(),
        "model": row.get("model_used") or "",
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
        "response_time_ms": _milliseconds(row.get("response_time")),
        "error_message": _message(row.get("error_message") or "", seen),
        "metadata": {OLD_NAME: _old_name(row)} if _old_name(row) else {},
    }
    event |= {ours: row[theirs] for theirs, ours in _SAME.items() if row.get(theirs) is not None}
    cost = _cost(row, seen)
    return event if cost is None else event | {"cost_usd": cost}


def _account(user: object) -> str:
    if user is None:
        raise Refused("required", "The row names no user.", "account")
    return str(user)


def _old_name(row: Row) -> str:
    return str(row.get("actual_provider_name") or "").strip()


def _cost(row: Row, seen: Read) -> str | None:
    """The row's total as the shortest decimal that means the same number; None where it has none."""
    value = row.get("cost_total")
    if value is None:
        seen.without_cost += 1
        return None
    cost = _decimal(value, "cost_usd")
    seen.native += value
    seen.exact += cost
    if cost.adjusted() > 6:  # above any bound, and not worth spelling out
        raise Refused("max_value", "More than 1,000,000 USD.", "cost_usd")
    return f"{cost.quantize(PLACES, ROUND_HALF_EVEN):f}"


def _milliseconds(seconds: object) -> int:
    if seconds is None:
        return 0
    return int((_decimal(seconds, "response_time_ms") * 1000).to_integral_value(ROUND_HALF_EVEN))


def _decimal(value: object, attr: str) -> Decimal:
    """A number of the older table; `str` writes a floating-point one in its shortest form."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Refused("invalid", f"Not a number: {value!r}.", attr) from error
    if not number.is_finite() or number.adjusted() > 15:
        raise Refused("invalid", f"Not a number that can be: {value!r}.", attr)
    return number


def _moment(value: object) -> str:
    """The older times are UTC and don't say so."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise Refused("invalid", f"Not a time: {value!r}.", "occurred_at") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _message(text: str, seen: Read) -> str:
    """An error message as it can be stored; a charge isn't lost over a long or a binary one."""
    plain = "".join(sign if sign.isprintable() or sign in "\t\n\r" else "\ufffd" for sign in text)
    seen.cut_messages += len(plain) > ERROR_MESSAGE
    return plain[:ERROR_MESSAGE]
