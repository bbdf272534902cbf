"""Prorated plan fees, and the split of a total into whole cents. Pure.

A fee is price x days left / days of the cycle, the day of the change included, rounded half-even to cents. Days are the
account's local days, so a day of 23 or 25 hours counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lib import money


def prorated_fee(price_nano: int, start: date, end: date, first: date) -> int:
    """The fee for the days from `first` to `end` of the cycle [start, end): nano-USD, whole cents."""
    return money.divide_half_even(price_nano * (end - first).days, (end - start).days * money.CENT) * money.CENT


def apportion_cents(amounts: Sequence[int], cents: int) -> list[int]:
    """Split `cents` over the amounts (nano-USD) by largest remainder; on a tie the first amount is rounded up.

    `cents` must be the rounded sum of the amounts.
    """
    parts = [divmod(amount, money.CENT) for amount in amounts]
    missing = cents - sum(whole_cents for whole_cents, _ in parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    rounded_up = set(by_remainder[:missing])
    return [whole_cents + (index in rounded_up) for index, (whole_cents, _) in enumerate(parts)]
