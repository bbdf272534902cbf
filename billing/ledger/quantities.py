"""Usage quantities by declared provider, actual provider and category. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Quantity(NamedTuple):
    """Used, reserved or requested usage of one declared provider, actual provider and category. Cost in nano-USD."""

    declared: str
    actual: str
    category: str
    calls: int
    tokens: int
    cost_nano: int

    @property
    def group(self) -> tuple[str, str, str]:
        return self.declared, self.actual, self.category


def sum_by_group(rows: Iterable[Quantity]) -> list[Quantity]:
    """Sum the rows by group, sorted by group."""
    sums: dict[tuple[str, str, str], tuple[int, int, int]] = {}
    for row in rows:
        calls, tokens, cost = sums.get(row.group, (0, 0, 0))
        sums[row.group] = (calls + row.calls, tokens + row.tokens, cost + row.cost_nano)
    return [Quantity(*group, *amounts) for group, amounts in sorted(sums.items())]
