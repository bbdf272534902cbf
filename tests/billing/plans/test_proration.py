"""Amounts rounded to whole cents: the parts add up to the rounded total."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.plans import proration
from lib import money
from lib.money import CENT

amounts = st.lists(st.integers(-(10**12), 10**12), max_size=30)


@given(amounts)
def test_cents_add_up_to_the_rounded_total(nano: list[int]) -> None:
    total = money.divide_half_even(sum(nano), CENT)
    cents = proration.apportion_cents(nano, total)

    assert sum(cents) == total
    for amount, part in zip(nano, cents, strict=True):
        assert abs(amount - part * CENT) < CENT  # amounts in whole cents do not change


@pytest.mark.parametrize(
    ("nano", "cents"),
    [
        ([], []),
        ([3_333_333, 3_333_333, 3_333_334], [0, 0, 1]),  # about a third of a cent each: the largest remainder wins
        ([5_000_000, 5_000_000], [1, 0]),  # a tie: the first wins
        ([15_000_000, 5_000_000], [2, 0]),
        ([-3_000_000, 3_000_000], [0, 0]),
        ([29_000_000_000, 4_000_000, 4_000_000], [2900, 1, 0]),
    ],
)
def test_the_largest_remainders_are_rounded_up(nano: list[int], cents: list[int]) -> None:
    assert proration.apportion_cents(nano, money.divide_half_even(sum(nano), CENT)) == cents


@given(st.integers(0, 10**13), st.integers(1, 366), st.data())
def test_a_prorated_fee_is_rounded_once(price_nano: int, days: int, data: st.DataObject) -> None:
    start, days_left = date(2028, 1, 1), data.draw(st.integers(0, days))
    end = start + timedelta(days=days)
    fee = proration.prorated_fee(price_nano, start, end, end - timedelta(days=days_left))

    assert fee % CENT == 0
    assert abs(Fraction(price_nano * days_left, days) - fee) * 2 <= CENT
