"""The latency histogram of requests: which column a request falls in, and what percentile columns say. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from lib import histogram

# Fixed for ever: stored minutes could not be added to differently cut ones.
BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
COLUMNS = histogram.columns(BOUNDS_MS)

_BOUNDS_US = tuple(bound * 1000 for bound in BOUNDS_MS)


def slot(duration_us: int) -> int:
    """The index in COLUMNS for a duration; a bound belongs to the column that it names."""
    return bisect_left(_BOUNDS_US, duration_us)


def percentile(counts: Sequence[int], percent: int) -> float | None:
    """Milliseconds, as lib.histogram reads them off."""
    return histogram.percentile(BOUNDS_MS, counts, percent)
