"""A statement as a page and as CSV: the admin's and the customers' pages show the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from billing.models import Statement
from lib import money, periods

State = Statement.State
BADGES = {State.OPEN: "warning", State.PAID: "ok", State.NOTHING_DUE: "plain"}
COLUMNS = ("account", "period", "part", "for", "about", "calls", "tokens", "exact_usd", "usd")


def shown(one: Statement) -> dict[str, Any]:
    """What templates/admin/billing/statement/body.html shows."""
    return {
        "original": one,
        "badge": BADGES[State(one.state)],
        "due_nano": one.total_cents * money.CENT,
        "usage_cents": sum(line["cents"] for line in one.usage),
        "last_day": one.period_end - periods.DAY,
    }


def rows(one: Statement) -> Iterator[tuple[object, ...]]:
    """The lines that are due and their total, then the usage at cost by provider."""
    start = (one.account.external_id, str(one))
    for line in one.lines:
        yield (*start, line["kind"], line["text"], line["period"], "", "", *_amounts(line["nano"], line["cents"]))
    yield (*start, "total", "", str(one), "", "", *_amounts(one.total_nano, one.total_cents))
    for line in one.usage:
        counts = (line["calls"], line["tokens"])
        yield (*start, "usage", line["label"], str(one), *counts, *_amounts(line["nano"], line["cents"]))


def _amounts(nano: int, cents: int) -> tuple[str, str]:
    return money.exact_usd(nano), money.exact_usd(cents * money.CENT)
