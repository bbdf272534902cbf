"""Turns answered requests into rows of the request log and counts by minute and hour, and stores them."""

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

MINUTE_TABLE, HOUR_TABLE = ("request_minutes", "minute"), ("request_hours", "hour")
ROW_COLUMNS = (
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
DROPPED_ROUTE = "(not logged)"  # the route of dropped requests, of which nothing else is known

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US = 60_000_000


class RequestEntry(NamedTuple):
    """One answered request. As cheap as possible, because it is created while the client waits."""

    at_us: int  # time of the answer in microseconds since 1970
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
class RequestBatch:
    """The content of one transaction. Rows get their ids before the first attempt, so that a retry does not count twice."""

    rows: list[tuple[Any, ...]]
    minutes: list[tuple[Any, ...]]
    hours: list[tuple[Any, ...]]


def build_batch(entries: Sequence[RequestEntry]) -> RequestBatch:
    minutes = _minutes(entries)
    return RequestBatch(_rows(entries), minutes, _hours(minutes))


def store(batch: RequestBatch) -> None:
    with transaction.atomic():
        upsert.insert(connection, ApiRequest._meta.db_table, ROW_COLUMNS, batch.rows)
        _increment(MINUTE_TABLE, COUNTERS, batch.minutes)
        _increment(HOUR_TABLE, COUNTERS, batch.hours)


def store_drops(count: int, at: datetime) -> None:
    """Add `count` dropped requests to the minute and the hour of `at`."""
    minute = at.replace(second=0, microsecond=0)
    counts = (DROPPED_ROUTE, 0, *[0] * len(COUNTERS), count)
    with transaction.atomic():
        _increment(MINUTE_TABLE, (*COUNTERS, "dropped"), [(minute, *counts)])
        _increment(HOUR_TABLE, (*COUNTERS, "dropped"), [(minute.replace(minute=0), *counts)])


def _increment(table: tuple[str, str], counters: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    table_name, time_column = table
    upsert.increment(connection, upsert.Increments(table_name, (time_column, *KEYS), counters, rows))


def _rows(entries: Sequence[RequestEntry]) -> list[tuple[Any, ...]]:
    """Rows in the order of ROW_COLUMNS. No model instances, which cost ten times as much."""
    return [
        (
            UUID(bytes=id_),
            _to_datetime(entry.at_us),
            entry.route[:200],
            _clean_text(entry.method, 16),
            *entry[3:9],
            entry.client_address or "",
            _clean_text(entry.user_agent, 500),
            entry.poll,
        )
        for id_, entry in zip(ids.new_ids(len(entries)), entries, strict=True)
    ]


def _minutes(entries: Sequence[RequestEntry]) -> list[tuple[Any, ...]]:
    """Keys and counters of each minute, sorted by key. Without polls: an open card would make an idle service look healthy."""
    minutes: dict[tuple[int, str, int], list[int]] = {}
    for entry in entries:
        if not entry.poll:
            key = (entry.at_us // _MINUTE_US * _MINUTE_US, entry.route[:200], entry.status // 100)
            counters = minutes.setdefault(key, [0] * len(COUNTERS))
            counters[0] += 1
            counters[1] += entry.status >= settings.HEALTH_ERROR_FROM
            counters[2] += entry.duration_us
            counters[3 + histogram.column_index(entry.duration_us)] += 1
    return [(_to_datetime(key[0]), *key[1:], *counters) for key, counters in sorted(minutes.items())]


def _hours(minutes: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Keys and counters of each hour, sorted by key."""
    hours: dict[tuple[datetime, str, int], list[int]] = {}
    for minute, route, status_class, *counters in minutes:
        key = (minute.replace(minute=0), route, status_class)
        hours[key] = list(map(add, hours[key], counters)) if key in hours else counters
    return [(*key, *counters) for key, counters in sorted(hours.items())]


def _to_datetime(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _clean_text(text: str, length: int) -> str:
    """Cut the text and remove what databases reject (NUL, lone surrogates): one client's header must not break a batch."""
    return text[:length].encode("utf-8", "replace").decode().replace("\0", "")
