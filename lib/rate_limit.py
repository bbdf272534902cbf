"""Rate limits in fixed windows, counted per process, so that no cache server is needed."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from functools import lru_cache
from threading import Lock

WINDOW_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
MAX_NAMES = 50_000  # for each rate, about 10 MB; beyond it, the oldest counts are dropped first
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")


class _Counts:
    """The requests of each name in its newest window. Entries are sorted by window, as time only goes forward."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.by_name: OrderedDict[str, tuple[int, int]] = OrderedDict()  # name -> (window, requests)

    def add(self, name: str, window: int) -> int:
        """Counts one request. Returns the number of this window."""
        with self.lock:
            last_window, requests = self.by_name.get(name, (window, 0))
            requests = requests + 1 if last_window == window else 1
            self.by_name[name] = window, requests
            if requests == 1:
                self.by_name.move_to_end(name)
                self._drop_old(window)
            return requests

    def _drop_old(self, window: int) -> None:
        """Drops up to two entries of ended windows, so that no request pays for many; and the oldest beyond the maximum."""
        for _ in range(2):
            name, (first_window, _count) = next(iter(self.by_name.items()))
            if first_window < window or len(self.by_name) > MAX_NAMES:
                del self.by_name[name]


_counts: dict[str, _Counts] = {}  # by rate: letters that many clients send do not push out those of other limits


def allow(name: str, rate: str) -> bool:
    """Count one request for `name`. Returns whether it is within `rate`, such as "60/minute"."""
    limit, seconds = parse(rate)
    counts = _counts.get(rate) or _counts.setdefault(rate, _Counts())
    return counts.add(name, int(time.monotonic() // seconds)) <= limit


def seconds_until_reset(rate: str) -> float:
    """Seconds until the next window."""
    _, seconds = parse(rate)
    return seconds - time.monotonic() % seconds


@lru_cache(maxsize=64)
def parse(rate: str) -> tuple[int, int]:
    """Returns the number of requests and the seconds of a window. Raises ValueError for anything but "60/minute"."""
    match = _RATE.fullmatch(rate)
    if match is None:
        raise ValueError(f"{rate!r} is not a rate such as 60/minute; the units are {', '.join(WINDOW_SECONDS)}")
    return int(match[1]), WINDOW_SECONDS[match[2]]
