"""Fees by the day, and the split of a total into whole cents. Pure.

The price of a day is the plan's price divided by the days of a regular cycle from the cycle's start (see
periods.regular_cycle_days): no later change of anchor or zone moves it. A fee is price x days / days of the regular cycle,
the day of a change included, rounded half-even to cents. Days are the account's local days, so a day of 23 or 25 hours counts
as one. No day is paid for twice: charging a day that is paid already credits the cheaper of the two prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

from lib import money, periods


class DailyPrice(NamedTuple):
    """`price_nano` for `cycle_days` days."""

    price_nano: int
    cycle_days: int

    def exceeds(self, price: DailyPrice) -> bool:
        return self.price_nano * price.cycle_days > price.price_nano * self.cycle_days


class FeeLine(NamedTuple):
    """A charge or credit for the days [first, end) at a daily price; `nano` is in whole cents, negative in a credit."""

    text: str
    nano: int
    first: date
    end: date
    price: DailyPrice
    credit: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "nano": self.nano,
            "first": self.first.isoformat(),
            "end": self.end.isoformat(),
            **self.price._asdict(),
            "credit": self.credit,
        }


PaidDays = Mapping[date, DailyPrice]  # the price charged for each day, and not credited


def prorated_fee(price: DailyPrice, days: int) -> int:
    """The fee for `days` days: nano-USD, whole cents."""
    return money.divide_half_even(price.price_nano * days, price.cycle_days * money.CENT) * money.CENT


def charge(name: str, price: DailyPrice, first: date, end: date) -> list[FeeLine]:
    """The line that charges the days [first, end) of the plan and cycle `name`; none if it is free."""
    if not price.price_nano:
        return []
    nano = prorated_fee(price, (end - first).days)
    return [FeeLine(f"{name}, {_describe(price, first, end)}", nano, first, end, price, credit=False)]


def credit_paid(charged: FeeLine, paid: PaidDays) -> list[FeeLine]:
    """Credits for the charged days that were paid before, at most the charged price, so that the sum is not negative."""
    days = _days_between(charged.first, charged.end)
    prices = {day: min_price(paid[day], charged.price) for day in days if day in paid}
    lines = [_credit("Already paid: ", *part) for part in _ranges(prices)]
    if charged.nano + sum(line.nano for line in lines) < 0:  # each line is rounded by itself
        return [_credit("Already paid: ", charged.first, charged.end, charged.price)]
    return lines


def credit_unused(name: str, price: DailyPrice, first: date, end: date, paid: PaidDays) -> list[FeeLine]:
    """Credits for the days [first, end) of the plan and cycle `name` that were paid at `price`, or less."""
    days = _days_between(first, end)
    prices = {day: paid[day] for day in days if day in paid and not paid[day].exceeds(price)}
    return [_credit(f"Unused: {name}, ", *part) for part in _ranges(prices)]


def min_price(price: DailyPrice, limit: DailyPrice) -> DailyPrice:
    return limit if price.exceeds(limit) else price


def replay(events: Iterable[Iterable[FeeLine]], first: date) -> dict[date, DailyPrice]:
    """The days from `first` on that the fee lines of the events, oldest first, leave paid."""
    paid: dict[date, list[DailyPrice]] = {}
    for lines in events:
        for line in lines:
            for day in _days_between(max(line.first, first), line.end):
                prices = paid.setdefault(day, [])
                if not line.credit:
                    prices.append(line.price)
                elif line.price in prices:
                    prices.remove(line.price)
        paid = {day: prices[-1:] for day, prices in paid.items() if prices}
    return {day: price for day, (price,) in paid.items()}


def _days_between(first: date, end: date) -> list[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), end.toordinal())]


def _ranges(prices: Mapping[date, DailyPrice]) -> list[tuple[date, date, DailyPrice]]:
    """The days (ascending) as half-open ranges of consecutive days with the same price."""
    numbered = enumerate(prices.items())
    groups = groupby(numbered, lambda item: (item[1][0].toordinal() - item[0], item[1][1]))
    ranges = [(key[1], [day for _, (day, _) in group]) for key, group in groups]
    return [(days[0], days[-1] + periods.DAY, price) for price, days in ranges]


def _credit(prefix: str, first: date, end: date, price: DailyPrice) -> FeeLine:
    nano = -prorated_fee(price, (end - first).days)
    return FeeLine(f"{prefix}{_describe(price, first, end)}", nano, first, end, price, credit=True)


def _describe(price: DailyPrice, first: date, end: date) -> str:
    days = (end - first).days
    share = f", {days} of {price.cycle_days} days of {money.format_usd(price.price_nano)}"
    return f"{first} to {end - periods.DAY}{'' if days == price.cycle_days else share}"


def apportion_cents(amounts: Sequence[int], cents: int) -> list[int]:
    """Split `cents` over the amounts (nano-USD) by largest remainder; on a tie the first amount is rounded up.

    `cents` must be the rounded sum of the amounts.
    """
    parts = [divmod(amount, money.CENT) for amount in amounts]
    missing = cents - sum(whole_cents for whole_cents, _ in parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    rounded_up = set(by_remainder[:missing])
    return [whole_cents + (index in rounded_up) for index, (whole_cents, _) in enumerate(parts)]
