"""The state of a budget: each threshold belongs to the state that it begins."""

from __future__ import annotations

import pytest

from billing.reports.reports import Budget

LIMIT = 2_000_000_000  # $2


@pytest.mark.parametrize(
    ("used", "status"),
    [
        (0, "ok"),
        (LIMIT * 50 // 100 - 1, "ok"),
        (LIMIT * 50 // 100, "notice"),
        (LIMIT * 80 // 100 - 1, "notice"),
        (LIMIT * 80 // 100, "warning"),
        (LIMIT * 95 // 100 - 1, "warning"),
        (LIMIT * 95 // 100, "critical"),
        (LIMIT - 1, "critical"),
        (LIMIT, "exceeded"),
        (LIMIT + 1, "exceeded"),
    ],
)
def test_a_state_begins_exactly_at_its_threshold(used: int, status: str) -> None:
    assert Budget(LIMIT, used, 0).status == status


def test_a_budget_without_a_limit_is_ok_and_one_of_zero_is_exceeded() -> None:
    assert [Budget(None, 10**15, 0).status, Budget(0, 0, 0).status] == ["ok", "exceeded"]
