"""Reading all rows of a table in pages, of models, tuples and values."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from pytest_django import DjangoAssertNumQueries

from lib import keyset

pytestmark = pytest.mark.django_db


@pytest.fixture
def names() -> list[str]:
    Group.objects.all().delete()
    names = [f"group {number}" for number in range(5)]
    Group.objects.bulk_create(Group(name=name) for name in reversed(names))
    return names


def test_rows_come_in_the_order_of_their_key_each_once(names: list[str]) -> None:
    pages = list(keyset.iter_pages(Group.objects.all(), size=2))
    assert [[group.name for group in page] for page in pages] == [names[:2:-1], names[2:0:-1], names[:1]]
    assert list(keyset.iter_pages(Group.objects.values_list("name", "pk"), size=3, key="name")) == [
        [(name, Group.objects.get(name=name).pk) for name in page] for page in (names[:3], names[3:])
    ]
    assert list(keyset.iter_pages(Group.objects.values_list("name", flat=True), size=5, key="name")) == [names]


def test_a_page_is_read_when_it_is_needed(names: list[str], django_assert_num_queries: DjangoAssertNumQueries) -> None:
    pages = keyset.iter_pages(Group.objects.all(), size=2)
    with django_assert_num_queries(1):
        next(pages)
    Group.objects.filter(name=names[0]).delete()
    assert [len(page) for page in pages] == [2]


def test_no_rows_are_no_pages() -> None:
    assert list(keyset.iter_pages(Group.objects.none(), size=2)) == []
