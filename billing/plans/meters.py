"""Meters and limits: what a meter counts, and how much usage a call requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from billing.ledger.quantities import Quantity
from lib import money

DAILY_SUFFIX = "_per_day"  # appended to a meter's slug: the key of its daily limit in the API and in alerts
MONTHLY_COST = "monthly_cost"  # the meter of the budget

NEAR_PERCENT, FULL_PERCENT = 80, 100  # of a limit: pages warn from NEAR_PERCENT on

MIN_REQUESTED = 1  # tokens and nano-USD of calls without an estimate


def usage_tone(percent: Decimal | int) -> str:
    """The CSS class for a share of a limit: "critical" at the limit, "warning" near it, else ""."""
    return "critical" if percent >= FULL_PERCENT else "warning" if percent >= NEAR_PERCENT else ""


class Meter(NamedTuple):
    """A scope (all, category, declared, actual) with the values that belong to it, and a unit (calls, tokens, cost)."""

    slug: str
    label: str
    scope: str
    values: frozenset[str]
    unit: str

    def applies_to(self, row: Quantity) -> bool:
        return self.scope == "all" or getattr(row, self.scope) in self.values

    def total(self, rows: Iterable[Quantity]) -> int:
        """Sum of the rows that the meter applies to, in its unit (cost: nano-USD)."""
        column = QUANTITY_COLUMN[self.unit]
        return sum(int(row[column]) for row in rows if self.applies_to(row))


class Limit(NamedTuple):
    """A meter's cap in its unit (cost: nano-USD): None is unlimited, 0 not allowed. A soft limit refuses nothing."""

    meter: Meter
    per: str  # a Per
    amount: int | None
    hard: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.meter.slug, self.per


def amount_as_json(unit: str, amount: int | None) -> int | str | None:
    """An amount in a meter's unit: calls and tokens stay numbers, nano-USD becomes a decimal string in USD."""
    return money.exact_usd(amount) if amount is not None and unit == "cost" else amount


QUANTITY_COLUMN = {
    "calls": Quantity._fields.index("calls"),
    "tokens": Quantity._fields.index("tokens"),
    "cost": Quantity._fields.index("cost_nano"),
}


def requested_quantity(group: tuple[str, str, str], *, count: int, calls: int, tokens: int, cost_nano: int) -> Quantity:
    """Usage of `count` operations at this estimate of each: at least one token and one nano-USD, as no call is surely free."""
    return Quantity(*group, calls * count, max(tokens * count, MIN_REQUESTED), max(cost_nano * count, MIN_REQUESTED))
