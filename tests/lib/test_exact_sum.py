"""Sums beyond 64 bits are exact on every database."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.db.models import F, Q, Sum

from billing.models import PlatformDay
from lib import exact_sum
from lib.exact_sum import ExactSum

pytestmark = pytest.mark.django_db

LARGE = 9 * 10**18 - 1
DAY = date(2026, 11, 22)


def add(*amounts: int, actual: str = "a") -> None:
    for slot, amount in enumerate(amounts):
        PlatformDay.objects.create(
            day=DAY, declared="d", actual=actual, category="text", slot=slot, calls=slot, cost_nano=amount
        )


@pytest.mark.parametrize(
    "amounts",
    [
        (LARGE, LARGE, LARGE),
        (-LARGE, -LARGE, -5),
        (LARGE, -LARGE, 7),
        (-1, 999_999_999, 1_000_000_000),
        (0,),
        (-1_000_000_001,),
    ],
)
def test_a_sum_is_exact(amounts: tuple[int, ...]) -> None:
    add(*amounts)
    assert PlatformDay.objects.aggregate(all=ExactSum("cost_nano")) == {"all": sum(amounts)}
    assert list(PlatformDay.objects.values_list("actual").annotate(ExactSum("cost_nano"))) == [("a", sum(amounts))]


def test_a_sum_of_no_rows_is_none() -> None:
    assert PlatformDay.objects.aggregate(all=ExactSum("cost_nano")) == {"all": None}


def test_filters_and_expressions_are_summed() -> None:
    add(LARGE, LARGE, LARGE, 5)
    sums = PlatformDay.objects.aggregate(
        some=ExactSum("cost_nano", filter=Q(slot__gt=1)),
        none=ExactSum("cost_nano", filter=Q(slot__gt=9)),
        more=ExactSum(F("cost_nano") + F("calls")),
        calls=Sum("calls"),
    )
    assert sums == {"some": LARGE + 5, "none": None, "more": 3 * LARGE + 5 + 6, "calls": 6}


def test_groups_are_summed_each() -> None:
    add(LARGE, LARGE)
    add(3, 4, actual="b")
    sums = PlatformDay.objects.order_by("actual").values_list("actual").annotate(ExactSum("cost_nano"))
    assert list(sums) == [("a", 2 * LARGE), ("b", 7)]


def test_raw_sql_has_the_same_sum() -> None:
    add(LARGE, LARGE, -3)
    with connection.cursor() as cursor:
        sql = exact_sum.sum_sql(connection, "CASE WHEN slot <> %s THEN cost_nano ELSE 0 END")
        cursor.execute(f"SELECT {sql} FROM platform_days", [1] * sql.count("%s"))
        (value,) = cursor.fetchone()
    assert exact_sum.to_int(value) == LARGE - 3
