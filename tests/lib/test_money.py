"""Money in nano-USD: rounding is half-even, and conversion loses nothing in either direction."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import money


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        ("0", 0),
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("0.0000000025", 2),
        ("0.000000000500000000000000001", 1),
        ("-0.0000000015", -2),
        ("0.1", 100_000_000),
        ("1000000", 10**15),
        ("9223372036.854775807", 2**63 - 1),
    ],
)
def test_usd_becomes_nano_half_even(usd: str, nano: int) -> None:
    assert money.nano_from_usd(Decimal(usd)) == nano


@pytest.mark.parametrize(
    ("nano", "exact", "formatted"),
    [
        (0, "0", "$0.00"),
        (1, "0.000000001", "<$0.01"),
        (-1, "-0.000000001", ">-$0.01"),
        (125_000, "0.000125", "<$0.01"),
        (9_999_999, "0.009999999", "<$0.01"),
        (10_000_000, "0.01", "$0.01"),
        (15_000_000, "0.015", "$0.02"),
        (25_000_000, "0.025", "$0.02"),
        (25_000_001, "0.025000001", "$0.03"),
        (-15_000_000, "-0.015", "-$0.02"),
        (500_000_000, "0.5", "$0.50"),
        (12 * 10**9, "12", "$12.00"),
        (-500_000_000, "-0.5", "-$0.50"),
        (100 * 10**9, "100", "$100.00"),
        (1_234_567_895_000_000, "1234567.895", "$1,234,567.90"),
        (9 * 10**18, "9000000000", "$9,000,000,000.00"),
    ],
)
def test_nano_usd_as_exact_and_as_formatted_text(nano: int, exact: str, formatted: str) -> None:
    assert (money.exact_usd(nano), money.format_usd(nano)) == (exact, formatted)


@settings(deadline=None)  # a slow machine is not a failure
@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_conversion_to_text_and_back_loses_nothing(nano: int) -> None:
    assert money.nano_from_usd(Decimal(money.exact_usd(nano))) == nano
    assert money.usd_from_nano(nano) == Decimal(money.exact_usd(nano))


@settings(deadline=None)  # a slow machine is not a failure
@given(st.integers(min_value=-(10**30), max_value=10**30), st.integers(min_value=1, max_value=10**12))
def test_half_even_rounding_equals_that_of_the_decimal_module(numerator: int, denominator: int) -> None:
    quotient, rest = divmod(numerator, denominator)
    tail = Decimal("0.5") if 2 * rest == denominator else Decimal("0.25") if 2 * rest < denominator else Decimal("0.75")
    rounded = (tail + quotient % 2).quantize(Decimal(1), rounding="ROUND_HALF_EVEN") - quotient % 2
    assert money.divide_half_even(numerator, denominator) == quotient + int(rounded)
