"""How often somebody may do something: fixed windows, counted per process (no cache server needed). Called at the edges."""

from __future__ import annotations

import time

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
MOST_NAMES = 10_000

_counts: dict[tuple[str, int], int] = {}


def within(name: str, rate: str) -> bool:
    """Count one more by `name`; whether that is within a rate such as "60/minute"."""
    most, per = _parts(rate)
    window = int(time.monotonic() // per)
    if len(_counts) > MOST_NAMES:
        _counts.clear()
    count = _counts[name, window] = _counts.get((name, window), 0) + 1
    return count <= most


def wait(rate: str) -> float:
    """Seconds until the next window."""
    _, per = _parts(rate)
    return per - time.monotonic() % per


def _parts(rate: str) -> tuple[int, int]:
    most, _, per = rate.partition("/")
    return int(most), SECONDS[per]
