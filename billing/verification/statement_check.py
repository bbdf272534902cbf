"""Whether every stored statement equals what its sources say now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from billing.accounts import usage_periods
from billing.models import Statement
from billing.statements import statements
from billing.statements.statements import FIGURES
from billing.verification.projection_check import Difference
from billing.verification.rollup_check import Part

PARTS = 500  # statements that are checked at a time


def check() -> Iterator[Part]:
    """Whether every statement says what its sources say, part by part; the caller holds a snapshot around it."""
    every = Statement.objects.select_related("account").order_by("account_id", "period")
    page = list(every[:PARTS])
    while page:
        wrong = [(one, columns) for one in page if (columns := _wrong(one))]
        differences = [Difference("statements", (one.account_id, one.period), columns) for one, columns in wrong]
        yield Part(len(page), differences)
        last = page[-1]
        later = Q(account_id=last.account_id, period__gt=last.period) | Q(account_id__gt=last.account_id)
        page = list(every.filter(later)[:PARTS])


def _wrong(stored: Statement) -> dict[str, tuple[object, object]]:
    period = usage_periods.period_from(stored.account.schedule, stored.period)
    right = statements.draw_up(stored.account, period, plan_id=stored.plan_id, allowance=stored.allowance_nano)
    pairs = {name: (getattr(stored, name), getattr(right, name)) for name in (*FIGURES, "total_cents", "lines")}
    pairs["usage"] = (_unlabelled(stored.usage), _unlabelled(right.usage))
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _unlabelled(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A provider may have another label by now."""
    return [{name: value for name, value in line.items() if name != "label"} for line in usage]
