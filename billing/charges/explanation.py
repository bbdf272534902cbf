"""Explains a log's current charge as lines of units x rate that add up exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.charges import charge_history, rating
from billing.charges.charge_history import Charge, CorrectionEffect
from billing.charges.rating import RatingSnapshot
from billing.models import CostSource, UsageAdjustment, UsageLog
from lib import money
from providers import costing, price_book
from providers.costing import CostLine, PricedModel, Rate
from providers.quantities import Quantities, input_total


@dataclass(frozen=True, slots=True)
class PriceCalculation:
    """A charge calculated from a price: the quantities, the lines, and the applicable rate of each unit."""

    price: PricedModel
    quantities: Quantities
    lines: tuple[CostLine, ...]
    rates: Mapping[str, Rate]
    unrounded_usd: Decimal


@dataclass(frozen=True, slots=True)
class PriceGap:
    """The price of an unpriced call. It has no rate for `condition` ("service_tier=batch"), or "": for nothing stated."""

    price: PricedModel
    condition: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The current charge; `calculation` is None if the charge does not come from a price.

    `gap` is None unless the call is unpriced although its model has a price.
    """

    charge: Charge
    calculation: PriceCalculation | None
    effects: tuple[CorrectionEffect, ...]
    gap: PriceGap | None = None

    @property
    def rounding_usd(self) -> Decimal | None:
        """The charge minus the sum of its lines, in USD; None without a calculation."""
        if self.calculation is None:
            return None
        return money.usd_from_nano(self.charge.total_nano) - self.calculation.unrounded_usd


def explain(log: UsageLog, adjustments: Sequence[UsageAdjustment], snapshot: RatingSnapshot) -> Explanation:
    """Explain the current charge of the log; `adjustments` are the log's, oldest first."""
    charge = charge_history.current_charge(log, adjustments)
    price = _find_price(log, charge.price_id, snapshot) if charge.price_id is not None else None
    effects = tuple(charge_history.correction_effects(log, adjustments))
    gap = _find_gap(log, snapshot) if charge.source == CostSource.UNPRICED else None
    return Explanation(charge, _calculate(log, price, charge.total_nano) if price else None, effects, gap)


def _calculate(log: UsageLog, price: PricedModel, total_nano: int) -> PriceCalculation:
    """The calculation of a charge, by the rules of the first releases where these and not today's lead to it."""
    quantities = rating.quantities_of_log(log)
    cost, tokens = costing.cost(price, quantities), price.request_tokens(quantities)
    if tokens is None or not cost.billed or cost.total_nano != total_nano:
        cost, tokens = costing.cost_by_any_rate(price, quantities), input_total(quantities)
    rates = price.rate_card(quantities, tokens).rates
    return PriceCalculation(price, quantities, cost.lines, rates, cost.unrounded_usd)


def _find_price(log: UsageLog, price_id: int, snapshot: RatingSnapshot) -> PricedModel | None:
    """The price with this id, superseded or not, as it applies to the log's model."""
    inputs = rating.inputs_of_log(log)
    price = inputs.price(snapshot.prices)
    if price and price.id == price_id:
        return price
    return price_book.load_price(price_id, inputs.model, inputs.at.date(), inputs.served_model)


def _find_gap(log: UsageLog, snapshot: RatingSnapshot) -> PriceGap | None:
    price, cost = rating.rate_log(log, snapshot)
    return PriceGap(price, cost.unknown_condition) if price and price.rates and not cost.billed else None
