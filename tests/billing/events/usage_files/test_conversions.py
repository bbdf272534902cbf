"""Numbers and times of other systems' files become exact values, or stay as they are and are refused later."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing.errors import Refused
from billing.events.usage_files import conversions

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("59200.0", "59200"),
        ("4.5e-05", "0.000045"),
        ("4.5E+3", "4500"),
        ("$0.12", "0.12"),
        ("-$1.50", "-1.5"),
        ("$-1.50", "-1.5"),
        (".5", "0.5"),
        (" 7 ", "7"),
        (7, "7"),
        (Decimal("1E-7"), "0.0000001"),
    ],
)
def test_numbers(value: object, number: str) -> None:
    decimal = conversions.as_decimal(value)
    assert decimal is not None
    assert conversions.plain(decimal) == number


@pytest.mark.parametrize(
    "value", ["", "-", "1,5", "1 000", "--1", "-$-1", "0x10", "1e999", "NaN", "٣", None, True, [1]]
)
def test_what_is_no_number(value: object) -> None:
    assert conversions.as_decimal(value) is None


def test_a_fraction_is_no_count() -> None:
    assert conversions.convert_number("usage.input_tokens", "3.0") == 3
    with pytest.raises(Refused, match=r"3\.5 is not a whole number\."):
        conversions.convert_number("usage.input_tokens", "3.5")
    assert conversions.convert_number("usage.seconds", "3.5") == "3.5"
    assert conversions.convert_number("usage.input_tokens", "many") == "many"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.1234567890123456789", "0.123456789012345678"),
        ("0.5000000005000000000001", "0.500000000500000001"),  # rounds up in nano-USD, as the exact amount does
        ("0.000000000500000000000000000001", "0.000000000500000001"),
        ("12", "12"),
    ],
)
def test_a_cost_has_at_most_18_places_and_rounds_as_the_exact_one(amount: str, text: str) -> None:
    assert conversions.cost_text(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1793577600", "2026-11-02T00:00:00+00:00"),
        (1793577600, "2026-11-02T00:00:00+00:00"),
        ("1793577600.25", "2026-11-02T00:00:00.250000+00:00"),
        ("1793577600.0", "2026-11-02T00:00:00+00:00"),
        (Decimal("1793577600.5"), "2026-11-02T00:00:00.500000+00:00"),
        ("1793577600123", "2026-11-02T00:00:00.123000+00:00"),
        ("1793577600123456", "2026-11-02T00:00:00.123456+00:00"),
        ("1793577600123456789", "2026-11-02T00:00:00.123456+00:00"),
        ("2026-11-02 10:00:00 UTC", "2026-11-02T10:00:00Z"),
        ("2026-11-02 10:00:00.123456 UTC", "2026-11-02T10:00:00.123456Z"),
        ("2026-11-02T10:00Z", "2026-11-02T10:00:00Z"),
        ("2026-11-02 10:00:00+00", "2026-11-02T10:00:00+00:00"),
        ("2026-11-02 10:00:00+0530", "2026-11-02T10:00:00+05:30"),
        ("2026-11-02 10:00", "2026-11-02T10:00:00.0Z"),
        ("2026-11-02", "2026-11-02T00:00:00.0Z"),
        ("2026-11-02 10:00:01.1234567", "2026-11-02T10:00:01.1234567Z"),
        ("02.11.2026", "2026-11-02T00:00:00+00:00"),
    ],
)
def test_times(value: object, time: str) -> None:
    assert conversions.convert_time(value, UTC, ["%d.%m.%Y"]) == time


@pytest.mark.parametrize(
    "value", ["2026-11-02 10:00:00", "2026-11-02", "yesterday", "12", "2026-11-02 UTC", True, None]
)
def test_what_is_no_time_without_a_zone_stays(value: object) -> None:
    assert conversions.convert_time(value, None) == value


def test_times_in_another_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert conversions.convert_time("2026-07-01 00:30:00.1234567", berlin) == "2026-07-01T00:30:00.123456+02:00"
    assert conversions.convert_time("2026-02-30 10:00", berlin) == "2026-02-30 10:00"
