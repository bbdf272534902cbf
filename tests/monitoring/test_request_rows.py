"""Request entries are stored without the model, exactly as the model would store them."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from monitoring import request_rows
from monitoring.models import ApiRequest, RequestMinute
from monitoring.request_rows import RequestEntry

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 22, 9, 30, 15, 123_456, tzinfo=UTC)
ON_THE_SECOND = AT.replace(microsecond=0)
FIELDS = (
    *("at", "route", "method", "status", "duration_us", "request_bytes", "response_bytes", "account_id", "key_id"),
    *("client_address", "user_agent", "poll"),
)
BIG = 2**63 - 1


def us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


ENTRIES: list[tuple[RequestEntry, tuple[Any, ...]]] = [
    (
        RequestEntry(
            us(AT),
            "/api/v1/usage/",
            "POST",
            201,
            1_234,
            56,
            78,
            7,
            11,
            "2001:db8::1",
            "curl/8 (\u00e9\U0001f680)",
            False,
        ),
        (AT, "/api/v1/usage/", "POST", 201, 1_234, 56, 78, 7, 11, "2001:db8::1", "curl/8 (\u00e9\U0001f680)", False),
    ),
    (
        RequestEntry(us(ON_THE_SECOND), "unmatched", "", 404, 0, None, None, None, None, None, "", True),
        (ON_THE_SECOND, "unmatched", "", 404, 0, None, None, None, None, "", "", True),
    ),
    (
        RequestEntry(
            us(AT), "/'%s\\\t\n\"/", "GET", 500, BIG, 10**15 - 1, BIG, BIG, -BIG, "192.0.2.1", "\\N {} %s ?", False
        ),
        (AT, "/'%s\\\t\n\"/", "GET", 500, BIG, 10**15 - 1, BIG, BIG, -BIG, "192.0.2.1", "\\N {} %s ?", False),
    ),
    (
        RequestEntry(
            us(AT),
            "/" + "\u00e9" * 300,
            "M\0\ud800" * 9,
            HTTPStatus.GONE,
            1,
            0,
            0,
            0,
            0,
            "192.0.2.1",
            "a\0b\ud800" * 200,
            False,
        ),
        (AT, "/" + "\u00e9" * 199, "M?" * 5 + "M", 410, 1, 0, 0, 0, 0, "192.0.2.1", "ab?" * 125, False),
    ),
]


@pytest.mark.parametrize(("entry", "expected"), ENTRIES)
def test_every_column_is_stored_as_given(entry: RequestEntry, expected: tuple[Any, ...]) -> None:
    batch = request_rows.build_batch([entry])
    request_rows.store(batch)
    assert ApiRequest.objects.values_list(*FIELDS).get() == expected


def test_stored_values_equal_those_of_the_model() -> None:
    request_rows.store(request_rows.build_batch([entry for entry, _ in ENTRIES]))
    assert raw_rows() == raw_rows_of_the_model()


def raw_rows() -> list[tuple[Any, ...]]:
    """The values as the driver returns them, unconverted by Django, and the type and length of the id."""
    columns = ", ".join(map(connection.ops.quote_name, FIELDS))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}, id FROM api_requests ORDER BY id")
        return [(*values, type(id_), len(str(id_))) for *values, id_ in cursor.fetchall()]


def raw_rows_of_the_model() -> list[tuple[Any, ...]]:
    ApiRequest.objects.all().delete()
    for _, values in ENTRIES:
        ApiRequest.objects.create(**dict(zip(FIELDS, values, strict=True)))
    return raw_rows()


def test_ids_follow_the_time_and_the_order_of_the_entries() -> None:
    started = int(now().timestamp() * 1000)
    request_rows.store(
        request_rows.build_batch([ENTRIES[1][0]._replace(duration_us=number) for number in range(1_000)])
    )
    rows = list(ApiRequest.objects.order_by("id").values_list("id", "duration_us"))
    assert [duration_us for _, duration_us in rows] == list(range(1_000))
    assert {id_.version for id_, _ in rows} == {7}
    assert all(started <= id_.int >> 80 <= started + 60_000 for id_, _ in rows)


def test_a_batch_stored_twice_is_refused_as_a_whole() -> None:
    batch = request_rows.build_batch([entry for entry, _ in ENTRIES])
    request_rows.store(batch)
    with pytest.raises(IntegrityError), transaction.atomic():
        request_rows.store(batch)
    assert ApiRequest.objects.count() == len(ENTRIES)
    assert sum(RequestMinute.objects.values_list("requests", flat=True)) == len(ENTRIES) - 1  # a poll is not counted


def test_a_batch_that_shares_one_row_with_the_table_is_refused_as_a_whole() -> None:
    first, second = (request_rows.build_batch([ENTRIES[0][0]]) for _ in range(2))
    request_rows.store(first)
    second.rows.extend(first.rows)
    with pytest.raises(IntegrityError), transaction.atomic():
        request_rows.store(second)
    assert ApiRequest.objects.count() == 1
