"""What a meter counts, and what calls ask of it. Pure: limits, reservations and pages hand in rows, whoever stored them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from billing.ledger.quantities import Quantity
from lib import money

PER_DAY = "_per_day"  # behind a meter's slug: its daily limit, as the API and alerts name it
MONTHLY_COST = "monthly_cost"  # the meter that is the budget


class Meter(NamedTuple):
    """A scope (all, category, declared, actual) with the values that belong to it, and a unit (calls, tokens, cost)."""

    slug: str
    label: str
    scope: str
    values: frozenset[str]
    unit: str

    def touches(self, row: Quantity) -> bool:
        return self.scope == "all" or getattr(row, self.scope) in self.values

    def total(self, rows: Iterable[Quantity]) -> int:
        """What the rows amount to in this meter's unit."""
        column = COLUMNS[self.unit]
        return sum(int(row[column]) for row in rows if self.touches(row))


class Limit(NamedTuple):
    """A meter's cap in its unit (cost: nano-USD): None is unlimited, 0 not allowed. A soft one refuses nothing."""

    meter: Meter
    per: str  # a Per
    amount: int | None
    hard: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.meter.slug, self.per


def told(unit: str, amount: int | None) -> int | str | None:
    """An amount in a meter's unit as JSON has it: calls and tokens are numbers, money is a decimal string."""
    return money.exact_usd(amount) if amount is not None and unit == "cost" else amount


COLUMNS = {
    "calls": Quantity._fields.index("calls"),
    "tokens": Quantity._fields.index("tokens"),
    "cost": Quantity._fields.index("cost_nano"),
}


def asked(group: tuple[str, str, str], *, count: int, tokens: int, cost_nano: int) -> Quantity:
    """What `count` calls of such an estimate ask for: at least one unit of everything, as no call is known to be free."""
    return Quantity(*group, count, max(tokens * count, 1), max(cost_nano * count, 1))
