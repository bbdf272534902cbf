"""What part of a plan's price is due for part of a billing cycle, and how an amount falls into whole cents. Pure.

A fee is price x days left / days of the cycle, the day of the change included, rounded half-even to cents. Days are the
account's local ones, so that a day of 23 or 25 hours is a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lib import money


def part_of(price_nano: int, start: date, end: date, first: date) -> int:
    """Nano-USD, in whole cents, for the days from `first` to `end` of a cycle that goes from `start` to `end`."""
    return money.half_even(price_nano * (end - first).days, (end - start).days * money.CENT) * money.CENT


def apportioned(amounts: Sequence[int], cents: int) -> list[int]:
    """Whole cents for each amount (nano-USD), adding up to `cents`: the largest remainders are rounded up, the first first.

    `cents` is the sum of the amounts, rounded.
    """
    parts = [divmod(amount, money.CENT) for amount in amounts]
    missing = cents - sum(whole for whole, _ in parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    up = set(by_remainder[:missing])
    return [whole + (index in up) for index, (whole, _) in enumerate(parts)]
