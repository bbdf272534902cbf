"""A statement as template context and as CSV, the same for admin and customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from billing.models import Statement
from billing.plans import plans
from billing.statements import segments, statement_lines
from billing.statements.segments import Segment
from lib import money, periods

StatementState = Statement.State
BADGES = {StatementState.OPEN: "warning", StatementState.PAID: "ok", StatementState.NOTHING_DUE: "plain"}
CSV_COLUMNS = ("account", "period", "part", "for", "about", "calls", "tokens", "exact_usd", "usd")


def as_context(statement: Statement) -> dict[str, Any]:
    """The context of templates/admin/billing/statement/body.html."""
    return {**row_context(statement), "segments": _segment_rows(statement)}


def row_context(statement: Statement) -> dict[str, Any]:
    """The context of a statement in a list; needs no query."""
    return {
        "original": statement,
        "badge": BADGES[StatementState(statement.state)],
        "due_nano": statement.total_cents * money.CENT,
        "usage_cents": sum(line["cents"] for line in statement.usage),
        "last_day": statement.period_end - periods.DAY,
    }


def _segment_rows(statement: Statement) -> list[tuple[str, Segment]]:
    """The segments with the name of their plan; empty where the period has only one, or all usage was included."""
    parts = segments.for_statement(statement) if statement.segments else []
    if len(parts) < 2 or all(part.allowance_nano is None for part in parts):
        return []
    catalog = plans.current()
    return [(statement_lines.plan_name(part.plan, catalog), part) for part in parts]


def csv_rows(statement: Statement) -> Iterator[tuple[object, ...]]:
    """The statement's lines and total, then the usage at cost by provider."""
    start = (statement.account.external_id, str(statement))
    for line in statement.lines:
        yield (*start, line["kind"], line["text"], line["period"], "", "", *_amounts(line["nano"], line["cents"]))
    yield (*start, "total", "", str(statement), "", "", *_amounts(statement.total_nano, statement.total_cents))
    for line in statement.usage:
        counts = (line["calls"], line["tokens"])
        yield (*start, "usage", line["label"], str(statement), *counts, *_amounts(line["nano"], line["cents"]))


def _amounts(nano: int, cents: int) -> tuple[str, str]:
    return money.exact_usd(nano), money.exact_usd(cents * money.CENT)
