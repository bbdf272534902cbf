"""Latency histograms with fixed bounds: the names of their table columns, and percentiles from their counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def columns(bounds_ms: Sequence[int]) -> tuple[str, ...]:
    """The column names: one per upper bound (inclusive), and a last one without a bound."""
    return (*(f"ms_{bound}" for bound in bounds_ms), "ms_more")


def percentile(bounds_ms: Sequence[int], counts: Sequence[int], percent: int) -> float | None:
    """The percentile in milliseconds, rounded to a tenth; None if all counts are 0.

    Computed as Prometheus' histogram_quantile does: linear interpolation in the column that contains the rank. The error
    is at most that column's width; a rank in the last column gives that column's lower bound.
    """
    rank = sum(counts) * percent / 100
    below = 0
    for index, count in enumerate(counts[: len(bounds_ms)]):
        if count and below + count >= rank:
            low, high = (0, *bounds_ms)[index : index + 2]
            return round(low + (high - low) * (rank - below) / count, 1)
        below += count
    return float(bounds_ms[-1]) if any(counts) else None
