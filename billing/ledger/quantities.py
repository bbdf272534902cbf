"""Amounts of usage by declared provider, actual provider and category, as limits and totals count them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Quantity(NamedTuple):
    """Calls of one declared provider, actual provider and category: used, held, or asked for. Cost is nano-USD."""

    declared: str
    actual: str
    category: str
    calls: int
    tokens: int
    cost_nano: int

    @property
    def group(self) -> tuple[str, str, str]:
        return self.declared, self.actual, self.category


def grouped(rows: Iterable[Quantity]) -> list[Quantity]:
    """The rows added up, one for each group, in the order of the groups."""
    sums: dict[tuple[str, str, str], tuple[int, int, int]] = {}
    for row in rows:
        calls, tokens, cost = sums.get(row.group, (0, 0, 0))
        sums[row.group] = (calls + row.calls, tokens + row.tokens, cost + row.cost_nano)
    return [Quantity(*group, *amounts) for group, amounts in sorted(sums.items())]
