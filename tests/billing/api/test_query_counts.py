"""How many queries the hot calls of the API make: fixed, and the same for 1 and for 1,000 rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access
from providers import price_book, price_edits
from providers.models import Price
from tests.billing.faults import ROLLUPS
from tests.billing.ledger_rows import NOW, record
from tests.conftest import Api

pytestmark = pytest.mark.django_db

# Each call reads its key; those that name providers read the version of the rule book.
POST_USAGE = 6 + ROLLUPS  # key, account, books, log, rollups; BEGIN and COMMIT, which are a savepoint inside a test
REPEAT = 7
REFUSED = 1
READS = {"usage/logs/": 4, "usage/logs/?account=a": 5, "usage/summary/": 4, "usage/summary/?account=a": 6}
ONE_LOG = 4  # key, log, adjustments, books
SUPERSEDED = 3  # a price that is in force no more is read with its rates and its provider's names
EVENT = {"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}}


@pytest.fixture(autouse=True)
def _warm(service: Api) -> None:
    """The key was used this minute, the account exists, and the books are in memory."""
    record({"event_id": "warm"})
    access.note_use(service.key, at=NOW)
    service.get("usage/logs/")
    service.get("usage/summary/", account="a")


@pytest.mark.parametrize("size", [1, 30])
def test_a_batch_takes_as_many_queries_as_one_event(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    body: Any = {"events": [{**EVENT, "event_id": f"e{n}"} for n in range(size)]} if size > 1 else EVENT
    with django_assert_num_queries(POST_USAGE):
        assert service.post("usage/", body).status_code in (200, 201)


def test_a_repeat(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    service.post("usage/", EVENT)
    with django_assert_num_queries(REPEAT):
        assert service.post("usage/", EVENT).status_code == 200


def test_a_refused_event(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(REFUSED):
        assert service.post("usage/", {**EVENT, "provider": ""}).status_code == 422


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize("path", ["usage/logs/", "usage/logs/?account=a", "usage/summary/", "usage/summary/?account=a"])
def test_reading(service: Api, django_assert_num_queries: DjangoAssertNumQueries, path: str, rows: int) -> None:
    record(*({"event_id": f"e{n}", "provider": f"p{n}", "category": "text"} for n in range(rows)))
    with django_assert_num_queries(READS[path]):
        assert service.get(path).status_code == 200


def test_one_log_with_its_explanation(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    (result,) = record({"event_id": "e1", "cost_usd": None, "usage": {"input_tokens": 5}})
    with django_assert_num_queries(ONE_LOG):
        assert service.get(f"usage/logs/{result.id}/").status_code == 200


def test_one_log_that_a_superseded_price_rated(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    (result,) = record({"event_id": "e1", "cost_usd": None, "usage": {"input_tokens": 5}})
    price_edits.record(price=Price.objects.get(provider__slug="openai", pattern="gpt-4o"), rates=[])
    service.get("usage/logs/?account=a")
    price_book.current()
    with django_assert_num_queries(ONE_LOG + SUPERSEDED):
        assert service.get(f"usage/logs/{result.id}/").status_code == 200


def test_nobody_costs_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert Client().post("/api/v1/usage/", EVENT, content_type="application/json").status_code == 401
