"""Bounded label sets for metrics: the largest few by name, and one for all the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

OTHER = "other"
MOST = 20


def bounded(rows: Iterable[tuple[str, Sequence[int]]], *, most: int = MOST) -> dict[str, list[int]]:
    """Names and counts with no name twice: those with the largest first count, then `other`, which holds the rest."""
    largest_first = sorted(rows, key=lambda row: (-row[1][0], row[0]))
    kept: dict[str, list[int]] = {}
    for index, (name, counts) in enumerate(largest_first):
        sums = kept.setdefault(name if index < most else OTHER, [0] * len(counts))
        sums[:] = [a + b for a, b in zip(sums, counts, strict=True)]
    return kept
