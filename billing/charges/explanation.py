"""Why a log costs what it costs now: units x rate = lines that add up exactly. The API, the log's page and a command ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

from billing.charges import charge_history, rating
from billing.charges.charge_history import Charge, CorrectionEffect
from billing.charges.rating import RatingSnapshot
from billing.models import UsageAdjustment, UsageLog
from lib import money
from providers import costing, price_book
from providers.costing import Line, PricedModel, Quantities, Rate


@dataclass(frozen=True, slots=True)
class Priced:
    """How a price makes a charge: what was counted, the lines, and for each unit the rate that held."""

    price: PricedModel
    quantities: Quantities
    lines: tuple[Line, ...]
    rates: Mapping[str, Rate]
    unrounded_usd: Decimal


@dataclass(frozen=True, slots=True)
class Explanation:
    """The charge that stands now; `priced` is there only where a price made it. `steps` are its corrections."""

    charge: Charge
    priced: Priced | None
    steps: tuple[CorrectionEffect, ...]

    @property
    def rounding_usd(self) -> Decimal | None:
        """The lines and this add up to the charge."""
        return money.usd_from_nano(self.charge.total_nano) - self.priced.unrounded_usd if self.priced else None


def explain(log: UsageLog, adjustments: Sequence[UsageAdjustment], edition: RatingSnapshot) -> Explanation:
    """The charge as it stands now, with what led to it; `adjustments` are the log's, oldest first."""
    charge = charge_history.current_charge(log, adjustments)
    price = _price(log, charge.price_id, edition) if charge.price_id is not None else None
    return Explanation(charge, _priced(log, price) if price else None, tuple(charge_history.history(log, adjustments)))


def _priced(log: UsageLog, price: PricedModel) -> Priced:
    quantities = rating.quantities_of_log(log)
    cost = costing.cost(price, quantities)
    return Priced(price, quantities, cost.lines, price.rates_for(quantities), cost.unrounded_usd)


def _price(log: UsageLog, price_id: int, edition: RatingSnapshot) -> PricedModel | None:
    """The price that rated the log, superseded or not, as the log's model asks for it."""
    day = log.timestamp.astimezone(UTC).date()
    found = edition.prices.find(log.shown_provider, log.model_used, day)
    return found if found and found.id == price_id else price_book.stored(price_id, log.model_used, day)
