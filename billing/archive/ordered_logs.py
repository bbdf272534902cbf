"""Reads the logs of a period by (timestamp, id), in pages, from the index of the account's logs by time.

An `ORDER BY timestamp, id` sorts all remaining rows for each page on MariaDB, as the index runs backwards in time and not
in `id`. So pages are read by time alone, and only logs of the same microsecond are read by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from django.db.models import QuerySet

from billing.models import UsageLog


def iter_pages(logs: QuerySet[UsageLog], size: int) -> Iterator[list[UsageLog]]:
    """Yield all logs, `size` per page, each page when it is needed. The number of rows read grows with that of logs."""
    in_order = chain.from_iterable(_windows(logs, size))
    while page := list(islice(in_order, size)):
        yield page


def _windows(logs: QuerySet[UsageLog], size: int) -> Iterator[list[UsageLog]]:
    """Spans of time with at most `size` logs, or logs of one instant, in order of time."""
    rest = logs.order_by("timestamp")
    while True:
        window = sorted(rest[: size + 1], key=lambda log: (log.timestamp, log.id))
        if len(window) <= size:
            yield window
            return
        last = window[-1].timestamp
        if window[0].timestamp == last:
            yield from _same_instant(logs.filter(timestamp=last).order_by("id"), size)
            rest = logs.filter(timestamp__gt=last).order_by("timestamp")
        else:
            yield [log for log in window if log.timestamp < last]  # more logs of that instant may follow
            rest = logs.filter(timestamp__gte=last).order_by("timestamp")


def _same_instant(logs: QuerySet[UsageLog], size: int) -> Iterator[list[UsageLog]]:
    rest = logs
    while page := list(rest[:size]):
        yield page
        rest = logs.filter(id__gt=page[-1].id)
