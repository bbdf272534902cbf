"""What is known of one answered request, and how many of them become rows and minutes. Called by the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from lib import upsert
from monitoring import histogram
from monitoring.models import ApiRequest

TABLE = "request_minutes"
KEYS = ("minute", "route", "status_class")
COUNTERS = ("requests", "errors", "duration_us", *histogram.COLUMNS)

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

    rows: list[ApiRequest]
    minutes: list[tuple[Any, ...]]


def batch(entries: Sequence[Entry]) -> Batch:
    return Batch([_row(entry) for entry in entries], _minutes(entries))


def store(batch: Batch) -> None:
    with transaction.atomic():
        ApiRequest.objects.bulk_create(batch.rows)
        adapted = [(connection.ops.adapt_datetimefield_value(minute), *rest) for minute, *rest in batch.minutes]
        upsert.add(connection, upsert.Sums(TABLE, KEYS, COUNTERS, adapted))


def _row(entry: Entry) -> ApiRequest:
    return ApiRequest(
        at=_time(entry.at_us),
        route=entry.route[:200],
        method=_storable(entry.method, 16),
        status=entry.status,
        duration_us=entry.duration_us,
        request_bytes=entry.request_bytes,
        response_bytes=entry.response_bytes,
        account_id=entry.account_id,
        key_id=entry.key_id,
        client_address=entry.client_address or "",
        user_agent=_storable(entry.user_agent, 500),
        poll=entry.poll,
    )


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


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _storable(text: str, length: int) -> str:
    """Cut, and without what a database refuses (NUL, lone surrogates): one client's header must not spoil a batch."""
    return text[:length].encode("utf-8", "replace").decode().replace("\0", "")
