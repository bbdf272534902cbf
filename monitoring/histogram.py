"""The latency histogram of requests: the column for a duration, and percentiles from the counts. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from lib import histogram

# Never change them: stored counts could not be added to counts with other bounds.
BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
COLUMNS = histogram.columns(BOUNDS_MS)

_BOUNDS_US = tuple(bound * 1000 for bound in BOUNDS_MS)


def column_index(duration_us: int) -> int:
    """The index in COLUMNS for a duration in microseconds; upper bounds are inclusive."""
    return bisect_left(_BOUNDS_US, duration_us)


def percentile(counts: Sequence[int], percent: int) -> float | None:
    """The percentile in milliseconds; see lib.histogram."""
    return histogram.percentile(BOUNDS_MS, counts, percent)
