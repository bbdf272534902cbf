"""The number of queries of the hot API requests is fixed: it does not depend on the number of rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access
from providers import price_book, price_edits
from providers.models import Price
from tests.billing.faults import ROLLUP_QUERIES
from tests.billing.ledger_rows import NOON, record
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

# Each request reads its key; requests that show providers also read the version of the rule book.
# Key, account, snapshot, log, rollups; BEGIN and COMMIT, which are a savepoint inside a test.
POST_USAGE_QUERIES = 6 + ROLLUP_QUERIES
DUPLICATE_QUERIES = 7
REFUSED_QUERIES = 1
QUERIES_BY_PATH = {"usage/logs/": 4, "usage/logs/?account=a": 5, "usage/summary/": 4, "usage/summary/?account=a": 6}
ONE_LOG_QUERIES = 4  # key, log, adjustments, snapshot
SUPERSEDED_PRICE_QUERIES = 3  # a superseded price is read with its rates and its provider's names
EVENT = {"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}}


@pytest.fixture(autouse=True)
def _warm_caches(service: Api) -> None:
    """The key's use is recorded for this minute, the account exists, and the snapshot is cached."""
    record({"event_id": "warm"})
    access.record_key_use(service.key, at=NOON)
    service.get("usage/logs/")
    service.get("usage/summary/", account="a")


@pytest.mark.parametrize("size", [1, 30])
def test_posting_usage_takes_the_same_queries_for_an_event_and_a_batch(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    body: Any = {"events": [{**EVENT, "event_id": f"e{n}"} for n in range(size)]} if size > 1 else EVENT
    with django_assert_num_queries(POST_USAGE_QUERIES):
        assert service.post("usage/", body).status_code in (200, 201)


def test_the_queries_of_a_duplicate_are_fixed(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    service.post("usage/", EVENT)
    with django_assert_num_queries(DUPLICATE_QUERIES):
        assert service.post("usage/", EVENT).status_code == 200


def test_a_refused_event_takes_one_query(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(REFUSED_QUERIES):
        assert service.post("usage/", {**EVENT, "provider": ""}).status_code == 422


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize("path", ["usage/logs/", "usage/logs/?account=a", "usage/summary/", "usage/summary/?account=a"])
def test_read_queries_are_fixed(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries, path: str, rows: int
) -> None:
    record(*({"event_id": f"e{n}", "provider": f"p{n}", "category": "text"} for n in range(rows)))
    with django_assert_num_queries(QUERIES_BY_PATH[path]):
        assert service.get(path).status_code == 200


def test_the_queries_of_a_single_log_are_fixed(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    (result,) = record({"event_id": "e1", "cost_usd": None, "usage": {"input_tokens": 5}})
    with django_assert_num_queries(ONE_LOG_QUERIES):
        assert service.get(f"usage/logs/{result.id}/").status_code == 200


def test_a_superseded_price_adds_three_queries(service: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    (result,) = record({"event_id": "e1", "cost_usd": None, "usage": {"input_tokens": 5}})
    price_edits.add_revision(price=Price.objects.get(provider__slug="openai", pattern="gpt-4o"), rates=[])
    service.get("usage/logs/?account=a")
    price_book.current()
    with django_assert_num_queries(ONE_LOG_QUERIES + SUPERSEDED_PRICE_QUERIES):
        assert service.get(f"usage/logs/{result.id}/").status_code == 200


def test_an_anonymous_request_makes_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert Client().post("/api/v1/usage/", EVENT, content_type="application/json").status_code == 401
