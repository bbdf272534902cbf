"""Reads the logs of a period by (timestamp, id), in pages, from the index of the account's logs by time.

MariaDB reads all logs of the account again for each page, and sorts them, if a query has no upper bound in time or is
ordered by `id` too. So a query reads a short window of time, ordered by time alone; windows grow where calls are few. Only
logs of the same microsecond that fill a page are read by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice

from django.db.models import QuerySet

from billing.models import UsageLog
from lib import keyset

FIRST_WINDOW = timedelta(hours=1)
MAX_WINDOW = timedelta(days=64)
MICROSECOND = timedelta(microseconds=1)


def iter_pages(logs: QuerySet[UsageLog], *, until: datetime, size: int) -> Iterator[list[UsageLog]]:
    """Yield the logs before `until`, `size` per page, each page when it is needed. The rows read grow with the logs."""
    in_order = chain.from_iterable(_windows(logs, until, size))
    while page := list(islice(in_order, size)):
        yield page


def _windows(logs: QuerySet[UsageLog], until: datetime, size: int) -> Iterator[list[UsageLog]]:
    """The logs of consecutive windows of time, or some of one instant, in order."""
    since = logs.filter(timestamp__lt=until).order_by("timestamp").values_list("timestamp", flat=True).first()
    length = FIRST_WINDOW
    while since is not None and since < until:
        end = min(since + length, until)
        window = list(logs.filter(timestamp__gte=since, timestamp__lt=end).order_by("timestamp")[: size + 1])
        if len(window) <= size:
            yield _sorted(window)
            since, length = end, min(length * 2, MAX_WINDOW) if len(window) <= size // 2 else length
        elif window[0].timestamp == (last := window[-1].timestamp):
            yield from keyset.iter_pages(logs.filter(timestamp=last), size=size)
            since = last + MICROSECOND
        else:
            yield _sorted([log for log in window if log.timestamp < last])  # more logs of the last instant may follow
            since, length = last, max(length / 2, MICROSECOND)


def _sorted(logs: list[UsageLog]) -> list[UsageLog]:
    return sorted(logs, key=lambda log: (log.timestamp, log.id))
