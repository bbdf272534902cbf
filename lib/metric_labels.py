"""Limits the label values of a metric: the largest by name, the rest summed as "other". Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

OTHER = "other"
MAX_LABELS = 20


def limit_labels(rows: Iterable[tuple[str, Sequence[int]]], *, limit: int = MAX_LABELS) -> dict[str, list[int]]:
    """Counts by name: the `limit` names with the largest first count, then "other" with the sums of the rest."""
    largest_first = sorted(rows, key=lambda row: (-row[1][0], row[0]))
    totals: dict[str, list[int]] = {}
    for index, (name, counts) in enumerate(largest_first):
        sums = totals.setdefault(name if index < limit else OTHER, [0] * len(counts))
        sums[:] = [a + b for a, b in zip(sums, counts, strict=True)]
    return totals
