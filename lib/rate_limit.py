"""Rate limits in fixed windows, counted per process, so that no cache server is needed."""

from __future__ import annotations

import time

WINDOW_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
MAX_NAMES = 10_000

_counts: dict[tuple[str, int], int] = {}


def allow(name: str, rate: str) -> bool:
    """Count one request for `name`. Returns whether it is within `rate`, such as "60/minute"."""
    limit, seconds = _parse_rate(rate)
    window = int(time.monotonic() // seconds)
    if len(_counts) > MAX_NAMES:
        _counts.clear()
    count = _counts[name, window] = _counts.get((name, window), 0) + 1
    return count <= limit


def seconds_until_reset(rate: str) -> float:
    """Seconds until the next window."""
    _, seconds = _parse_rate(rate)
    return seconds - time.monotonic() % seconds


def _parse_rate(rate: str) -> tuple[int, int]:
    limit, _, unit = rate.partition("/")
    return int(limit), WINDOW_SECONDS[unit]
