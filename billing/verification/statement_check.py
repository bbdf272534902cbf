"""Checks that every stored statement equals the statement that its sources give now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from billing.accounts import usage_periods
from billing.models import Statement
from billing.statements import statements
from billing.statements.statements import FIGURE_COLUMNS
from billing.verification.projection_check import Difference
from billing.verification.rollup_check import CheckedPart

PAGE_SIZE = 500  # statements


def check(where: Q = Q()) -> Iterator[CheckedPart]:  # noqa: B008 - never changed
    """Check the statements matching `where` part by part; the caller opens a snapshot."""
    ordered = Statement.objects.filter(where).select_related("account").order_by("account_id", "period")
    page = list(ordered[:PAGE_SIZE])
    while page:
        wrong = [(statement, columns) for statement in page if (columns := _wrong_columns(statement))]
        differences = [Difference("statements", (row.account_id, row.period), columns) for row, columns in wrong]
        yield CheckedPart(len(page), differences)
        last = page[-1]
        later = Q(account_id=last.account_id, period__gt=last.period) | Q(account_id__gt=last.account_id)
        page = list(ordered.filter(later)[:PAGE_SIZE])


def _wrong_columns(stored: Statement) -> dict[str, tuple[object, object]]:
    period = usage_periods.period_from(stored.account.schedule, stored.period)
    built = statements.build(stored.account, period, plan_id=stored.plan_id, allowance_nano=stored.allowance_nano)
    pairs = {name: (getattr(stored, name), getattr(built, name)) for name in (*FIGURE_COLUMNS, "total_cents", "lines")}
    pairs["usage"] = (_without_labels(stored.usage), _without_labels(built.usage))
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _without_labels(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A provider's label may have changed since."""
    return [{name: value for name, value in line.items() if name != "label"} for line in usage]
