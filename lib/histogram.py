"""Latency histograms with fixed bounds: the columns that a table has for them, and what percentile their counts say. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def columns(bounds_ms: Sequence[int]) -> tuple[str, ...]:
    """The names of the columns: one for each bound (a bound belongs to the column that it names), and an open last one."""
    return (*(f"ms_{bound}" for bound in bounds_ms), "ms_more")


def percentile(bounds_ms: Sequence[int], counts: Sequence[int], percent: int) -> float | None:
    """Milliseconds, to a tenth, within which `percent` of what was counted ended; None where nothing was.

    Read as Prometheus' histogram_quantile does: the column that holds the rank, and a straight line within it. The
    error is at most the column's width, and what lies in the open last column reads as that column's lower bound.
    """
    rank = sum(counts) * percent / 100
    below = 0
    for index, count in enumerate(counts[: len(bounds_ms)]):
        if count and below + count >= rank:
            low, high = (0, *bounds_ms)[index : index + 2]
            return round(low + (high - low) * (rank - below) / count, 1)
        below += count
    return float(bounds_ms[-1]) if any(counts) else None
