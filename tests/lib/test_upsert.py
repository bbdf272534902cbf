"""One statement increments counters or inserts the row, and one inserts many rows, on every database."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from billing.models import UsageModel
from lib import ids, upsert
from monitoring.models import ApiRequest

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 1)
KEYS = ("account_id", "period", "actual", "model")
COUNTERS = ("calls", "errors", "tokens_total", "cost_nano", "unpriced_calls")


def add(*rows: tuple[Any, ...]) -> None:
    upsert.increment(connection, upsert.Increments("usage_models", KEYS, COUNTERS, rows))


def stored() -> list[tuple[Any, ...]]:
    return list(UsageModel.objects.order_by("account_id", "model").values_list("model", *COUNTERS))


def test_a_row_is_inserted_and_then_incremented() -> None:
    add((1, DAY, "openai", "a", 1, 0, 5, 7, 0))
    add((1, DAY, "openai", "a", 2, 1, 5, -3, 1), (1, DAY, "openai", "b", 1, 0, 0, 0, 0))

    assert stored() == [("a", 3, 1, 10, 4, 1), ("b", 1, 0, 0, 0, 0)]


def test_keys_are_compared_exactly() -> None:
    names = ["A", "a", "a ", "\u00e9", "e\u0301", "e"]
    for name in names:
        add((1, DAY, "openai", name, 1, 0, 0, 0, 0))
    assert {model: calls for model, calls, *_ in stored()} == dict.fromkeys(names, 1)


def test_counters_hold_64_bits() -> None:
    add((1, DAY, "openai", "a", 1, 0, 0, 9 * 10**18 - 1, 0))
    add((1, DAY, "openai", "a", 1, 0, 0, 1, 0))
    assert stored() == [("a", 2, 0, 0, 9 * 10**18, 0)]


def test_without_rows_no_statement_runs(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        add()


def test_more_rows_are_incremented_than_fit_into_one_statement() -> None:
    for _ in range(2):
        add(*((account, DAY, "openai", "a", 1, 0, 0, 2, 0) for account in range(4000)))
    assert (len(stored()), {row[1:] for row in stored()}) == (4000, {(2, 0, 0, 4, 0)})


def test_a_quote_in_a_value_is_stored_as_text() -> None:
    add((1, DAY, "openai", "'; DROP TABLE usage_models; -- %s", 1, 0, 0, 0, 0))
    assert [row[0] for row in stored()] == ["'; DROP TABLE usage_models; -- %s"]


REQUEST_COLUMNS = (
    "id",
    "at",
    "route",
    "method",
    "status",
    "duration_us",
    "request_bytes",
    "client_address",
    "user_agent",
    "poll",
)


def test_inserted_rows_are_read_back_unchanged(now: datetime) -> None:
    texts = ["", "a\tb\\n\nc", "caf\u00e9 \U0001f600 '\"%s", "\\N"]
    rows = [
        (ids.new_id(), now, text, "GET", 200, 2**62, None if number else number, "", text, bool(number))
        for number, text in enumerate(texts)
    ]
    upsert.insert(connection, "api_requests", REQUEST_COLUMNS, rows)
    assert list(ApiRequest.objects.order_by("id").values_list(*REQUEST_COLUMNS)) == rows


def test_a_duplicate_key_is_an_error_and_nothing_is_inserted(now: datetime) -> None:
    row = (ids.new_id(), now, "/", "GET", 200, 1, None, "", "", False)
    upsert.insert(connection, "api_requests", REQUEST_COLUMNS, [row])
    with pytest.raises(IntegrityError), transaction.atomic():
        upsert.insert(connection, "api_requests", REQUEST_COLUMNS, [(ids.new_id(), *row[1:]), row])
    assert ApiRequest.objects.count() == 1


def test_more_rows_are_inserted_than_fit_into_one_statement(now: datetime) -> None:
    rest = (now, "/", "GET", 200, 1, None, "", "", False)
    upsert.insert(connection, "api_requests", REQUEST_COLUMNS, [(ids.new_id(), *rest) for _ in range(4000)])
    assert ApiRequest.objects.count() == 4000
