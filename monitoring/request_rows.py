"""What is known of one answered request, and how many of them become rows and minutes. Called by the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from lib import ids, upsert
from monitoring import histogram
from monitoring.models import ApiRequest

MINUTES, HOURS = ("request_minutes", "minute"), ("request_hours", "hour")
ROW = (
    "id",
    "at",
    "route",
    "method",
    "status",
    "duration_us",
    "request_bytes",
    "response_bytes",
    "account_id",
    "key_id",
    "client_address",
    "user_agent",
    "poll",
)
KEYS = ("route", "status_class")
COUNTERS = ("requests", "errors", "duration_us", *histogram.COLUMNS)
DROPPED = "(not logged)"  # stands for the route of requests of which nothing else is known

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US = 60_000_000


class Entry(NamedTuple):
    """One answered request, as cheap to make as can be: it is made while the client waits."""

    at_us: int  # microseconds since 1970, when it was answered
    route: str
    method: str
    status: int
    duration_us: int
    request_bytes: int | None
    response_bytes: int | None
    account_id: int | None
    key_id: int | None
    client_address: str | None
    user_agent: str
    poll: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores. The rows have ids before the first attempt, so that no second one counts twice."""

    rows: list[tuple[Any, ...]]
    minutes: list[tuple[Any, ...]]
    hours: list[tuple[Any, ...]]


def batch(entries: Sequence[Entry]) -> Batch:
    minutes = _minutes(entries)
    return Batch(_rows(entries), minutes, _hours(minutes))


def store(batch: Batch) -> None:
    with transaction.atomic():
        upsert.insert(connection, ApiRequest._meta.db_table, ROW, batch.rows)
        _add(MINUTES, COUNTERS, batch.minutes)
        _add(HOURS, COUNTERS, batch.hours)


def store_drops(count: int, at: datetime) -> None:
    """So many requests of this process could not be logged: told in the minute `at`, to all processes."""
    minute = at.replace(second=0, microsecond=0)
    counts = (DROPPED, 0, *[0] * len(COUNTERS), count)
    with transaction.atomic():
        _add(MINUTES, (*COUNTERS, "dropped"), [(minute, *counts)])
        _add(HOURS, (*COUNTERS, "dropped"), [(minute.replace(minute=0), *counts)])


def _add(to: tuple[str, str], counters: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    table, span = to
    upsert.add(connection, upsert.Sums(table, (span, *KEYS), counters, rows))


def _rows(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    """As ROW names their columns. No model instances: these cost ten times as much."""
    return [
        (
            UUID(bytes=id_),
            _time(entry.at_us),
            entry.route[:200],
            _storable(entry.method, 16),
            *entry[3:9],
            entry.client_address or "",
            _storable(entry.user_agent, 500),
            entry.poll,
        )
        for id_, entry in zip(ids.new_ids(len(entries)), entries, strict=True)
    ]


def _minutes(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    """Keys and counters of each minute, sorted by key. Polls stay out: a watching card would answer for the service."""
    minutes: dict[tuple[int, str, int], list[int]] = {}
    for entry in entries:
        if not entry.poll:
            key = (entry.at_us // _MINUTE_US * _MINUTE_US, entry.route[:200], entry.status // 100)
            counters = minutes.setdefault(key, [0] * len(COUNTERS))
            counters[0] += 1
            counters[1] += entry.status >= settings.HEALTH_ERROR_FROM
            counters[2] += entry.duration_us
            counters[3 + histogram.slot(entry.duration_us)] += 1
    return [(_time(key[0]), *key[1:], *counters) for key, counters in sorted(minutes.items())]


def _hours(minutes: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The same sums by hour, sorted by key."""
    hours: dict[tuple[datetime, str, int], list[int]] = {}
    for minute, route, status_class, *counters in minutes:
        key = (minute.replace(minute=0), route, status_class)
        hours[key] = list(map(add, hours[key], counters)) if key in hours else counters
    return [(*key, *counters) for key, counters in sorted(hours.items())]


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _storable(text: str, length: int) -> str:
    """Cut, and without what a database refuses (NUL, lone surrogates): one client's header must not spoil a batch."""
    return text[:length].encode("utf-8", "replace").decode().replace("\0", "")
