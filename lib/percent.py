"""Percentages with two decimals. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal


def percentage(part: int, whole: int) -> Decimal | None:
    """In per cent with two decimals, half-even; None where there is nothing to divide by."""
    if not whole:
        return None
    return (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
