"""What changes between two prices, cell by cell, in integers. Pure; proposals are judged and shown by it.

A cell is what a rate is for: a unit, for a variant, above a total input. Where a price has no rate of its own for a
cell, what it asks there is the rate under which such a call bills anyway (cached tokens: the input rate; a tier: the
rate below it), so a rate that only becomes explicit is no change of what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from providers import costing
from providers.costing import PricedModel, Quantities, Rate, Variant

LARGE_PERCENT = 20
PARTS = (*costing.INPUT_PARTS, *costing.OUTPUT_PARTS)
FALLS_UNDER = {"cache_write_1h_tokens": ("cache_write_tokens",)}  # before the whole


@dataclass(frozen=True, slots=True)
class Change:
    """One cell; the amounts are nano-USD per million units, None where nothing is asked."""

    unit: str
    variant: str
    above: int
    now: int | None
    proposed: int | None

    @property
    def percent(self) -> Decimal | None:
        """Signed, with two decimals; None where there is nothing to compare with."""
        if not self.now or self.proposed is None:
            return Decimal(0) if self.now == self.proposed else None
        return (Decimal(self.proposed - self.now) * 100 / self.now).quantize(Decimal("0.01"))

    @property
    def is_large(self) -> bool:
        """More than 20 % either way; asking anything for what was free or not asked at all, and the reverse, is."""
        if self.now == self.proposed:
            return False
        if not self.now or self.proposed is None:
            return True
        return abs(self.proposed - self.now) * 100 > LARGE_PERCENT * self.now


def changes(now: Iterable[Rate], proposed: Iterable[Rate]) -> list[Change]:
    """Every cell that either price has a rate for: of any call first, and each whole before its parts."""
    old, new = _priced(now), _priced(proposed)
    cells = {(rate.unit, rate.variant, rate.above) for rate in (*old.rates, *new.rates)}
    return [Change(*cell, now=_asked(old, *cell), proposed=_asked(new, *cell)) for cell in sorted(cells, key=_place)]


def largest(found: Iterable[Change]) -> Decimal | None:
    """The largest change in percent, signed; None where no cell can be compared."""
    percents = [change.percent for change in found if change.percent is not None]
    return max(percents, key=abs, default=None)


def contradict(one: Iterable[Rate], other: Iterable[Rate]) -> bool:
    """Whether two statements name different amounts for a cell that both of them state."""
    stated = {(rate.unit, rate.variant, rate.above): rate.nano_per_million for rate in other}
    return any(
        stated.get((rate.unit, rate.variant, rate.above), rate.nano_per_million) != rate.nano_per_million
        for rate in one
    )


def _place(cell: tuple[str, str, int]) -> tuple[str, int, bool, int]:
    unit, variant, above = cell
    return variant, above, unit in PARTS, costing.UNITS.index(unit)


def _priced(rates: Iterable[Rate]) -> PricedModel:
    return PricedModel(0, "", "", date.min, "", tuple(rates))


def _asked(price: PricedModel, unit: str, variant: str, above: int) -> int | None:
    """What the price asks for a unit of such a call: its own rate, or the one that takes the unit in."""
    card = price.card(Quantities(variant=Variant(**dict(costing.conditions(variant)))), above + 1)
    own = {charge.unit: charge.nano_per_million for charge in (*card.input_parts, *card.output_parts, *card.others)}
    for taken_in in (unit, *FALLS_UNDER.get(unit, ())):
        if taken_in in own:
            return own[taken_in]
    if unit in ("input_tokens", *costing.INPUT_PARTS):
        return card.input_rate
    return card.output_rate if unit in ("output_tokens", *costing.OUTPUT_PARTS) else None
