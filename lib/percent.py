"""Percentages with two decimals. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal


def percentage(part: int, total: int) -> Decimal | None:
    """`part` in per cent of `total`, rounded half to even to two decimals; None if `total` is 0."""
    if not total:
        return None
    return (Decimal(part) * 100 / Decimal(total)).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
