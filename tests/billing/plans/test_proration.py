"""Amounts rounded to whole cents: the parts add up to the rounded total."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.plans import proration
from billing.plans.proration import DailyPrice, FeeLine
from lib import money
from lib.money import CENT, NANO

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
def test_a_prorated_fee_is_rounded_once(price_nano: int, cycle_days: int, data: st.DataObject) -> None:
    days = data.draw(st.integers(0, cycle_days + 62))
    fee = proration.prorated_fee(DailyPrice(price_nano, cycle_days), days)

    assert fee % CENT == 0
    assert abs(Fraction(price_nano * days, cycle_days) - fee) * 2 <= CENT


def day(number: int) -> date:
    return date(2026, 11, number)


CHEAP, DEAR = DailyPrice(29 * NANO, 30), DailyPrice(79 * NANO, 30)


def charged(price: DailyPrice, first: int, end: int) -> FeeLine:
    return proration.charge("Plan", price, day(first), day(end))[0]


def described(lines: list[FeeLine]) -> list[tuple[int, int, int, DailyPrice]]:
    return [(line.first.day, line.end.day, line.nano // CENT, line.price) for line in lines]


def test_days_that_are_paid_are_credited_at_the_cheaper_price() -> None:
    paid = {day(number): CHEAP for number in (3, 4, 8)} | {day(5): DEAR}

    assert described(proration.credit_paid(charged(DEAR, 1, 11), paid)) == [
        (3, 5, -193, CHEAP),
        (5, 6, -263, DEAR),
        (8, 9, -97, CHEAP),
    ]
    assert described(proration.credit_paid(charged(CHEAP, 4, 7), paid)) == [(4, 6, -193, CHEAP)]
    assert proration.credit_paid(charged(CHEAP, 20, 30), paid) == []


def test_credits_never_exceed_the_charge_by_rounding() -> None:
    """1.5 and 1.5 cents are rounded to 2 and 2, and their sum of 3 cents to 3."""
    half_cents, same_price = DailyPrice(15 * CENT, 10), DailyPrice(30 * CENT, 20)
    paid = {day(1): half_cents, day(2): same_price}
    line = charged(half_cents, 1, 3)

    assert line.nano == 3 * CENT
    assert described(proration.credit_paid(line, paid)) == [(1, 3, -3, half_cents)]


def test_unused_days_are_credited_as_far_as_they_were_charged_for_the_plan() -> None:
    paid = {day(3): CHEAP, day(4): DEAR, day(5): CHEAP}

    assert described(proration.credit_unused("Plan", CHEAP, day(1), day(11), paid)) == [
        (3, 4, -97, CHEAP),
        (5, 6, -97, CHEAP),
    ]


def test_replaying_fee_lines_tells_which_days_are_paid() -> None:
    start, upgrade = charged(CHEAP, 1, 6), charged(DEAR, 4, 6)
    unused = proration.credit_unused("Plan", CHEAP, day(4), day(6), {day(4): CHEAP, day(5): CHEAP})
    fully_paid = proration.credit_paid(charged(CHEAP, 5, 7), {day(5): DEAR})

    assert proration.replay([[start]], day(4)) == {day(4): CHEAP, day(5): CHEAP}
    assert proration.replay([[start], [upgrade, *unused]], day(3)) == {day(3): CHEAP, day(4): DEAR, day(5): DEAR}
    assert proration.replay([[start], unused], day(3)) == {day(3): CHEAP}
    assert proration.replay([[upgrade], [charged(CHEAP, 5, 7), *fully_paid]], day(5)) == {day(5): DEAR, day(6): CHEAP}


def test_a_line_states_what_its_amount_is_computed_from() -> None:
    (line,) = proration.charge("Plan", CHEAP, day(29), date(2026, 12, 20))

    assert line.as_json() == {
        "text": "Plan, 2026-11-29 to 2026-12-19, 21 of 30 days of $29.00",
        "nano": 2030 * CENT,
        "first": "2026-11-29",
        "end": "2026-12-20",
        "price_nano": 29 * NANO,
        "cycle_days": 30,
        "credit": False,
    }
    assert proration.charge("Plan", DailyPrice(0, 30), day(1), day(2)) == []
