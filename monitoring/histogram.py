"""Latency histograms with fixed bounds: which column a request falls in, and what percentile columns say. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Fixed for ever: stored minutes could not be added to differently cut ones.
BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
COLUMNS = (*(f"ms_{bound}" for bound in BOUNDS_MS), "ms_more")

_BOUNDS_US = tuple(bound * 1000 for bound in BOUNDS_MS)


def slot(duration_us: int) -> int:
    """The index in COLUMNS for a duration; a bound belongs to the column that it names."""
    return bisect_left(_BOUNDS_US, duration_us)


def percentile(counts: Sequence[int], percent: int) -> float | None:
    """Milliseconds, to a tenth, within which `percent` of the requests were answered; None where there were none.

    Read as Prometheus' histogram_quantile does: the column that holds the rank, and a straight line within it. The
    error is at most the column's width, and what lies in the open last column reads as that column's lower bound.
    """
    rank = sum(counts) * percent / 100
    below = 0
    for index, count in enumerate(counts[: len(BOUNDS_MS)]):
        if count and below + count >= rank:
            low, high = (0, *BOUNDS_MS)[index : index + 2]
            return round(low + (high - low) * (rank - below) / count, 1)
        below += count
    return float(BOUNDS_MS[-1]) if any(counts) else None
