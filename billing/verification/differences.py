"""What a check returns: the number of rows compared, those that differ, and those that cannot be checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Pairs = Mapping[str, tuple[object, object]]  # (stored, expected) by column


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs from the ledger; `columns` has (stored, expected) by column."""

    table: str
    key: tuple[Any, ...]
    columns: dict[str, tuple[object, object]]

    def __str__(self) -> str:
        wrong = (f"{name} is {stored}, should be {expected}" for name, (stored, expected) in self.columns.items())
        return f"{self.table} {', '.join(map(str, self.key))}: {'; '.join(wrong)}"


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """The number of rows compared, those that differ, and the number of rows of which something cannot be checked."""

    rows: int
    differences: list[Difference]
    not_checkable: int = 0
    check: str = ""


class CheckedRow(NamedTuple):
    """The columns of one row with the values that they should have; `complete` is False if some are not known."""

    table: str
    key: tuple[Any, ...]
    pairs: Pairs
    complete: bool = True


@dataclass(slots=True)
class Comparison:
    """Counts the rows of one part and collects their differences."""

    rows: int = 0
    not_checkable: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, row: CheckedRow) -> None:
        self.rows += 1
        self.not_checkable += not row.complete
        self.note(row.table, row.key, row.pairs)

    def note(self, table: str, key: tuple[Any, ...], pairs: Pairs) -> None:
        """Collect a difference if a value is not the expected one, without counting a row."""
        wrong = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if wrong:
            self.differences.append(Difference(table, key, wrong))

    def as_part(self) -> CheckedPart:
        return CheckedPart(self.rows, self.differences, self.not_checkable)


def compare(rows: Iterable[CheckedRow]) -> CheckedPart:
    comparison = Comparison()
    for row in rows:
        comparison.add(row)
    return comparison.as_part()


def combine(parts: Iterable[CheckedPart]) -> CheckedPart:
    """Several parts as a single part."""
    parts = list(parts)
    differences = [difference for part in parts for difference in part.differences]
    return CheckedPart(sum(part.rows for part in parts), differences, sum(part.not_checkable for part in parts))
