"""Why a log costs what it costs, and who served it: units x rate = lines that add up exactly. For people and the API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal

from billing import rating
from billing.models import CostSource, UsageLog
from lib import money
from providers import costing, price_book, rulebook
from providers.costing import Cost, Line, PricedModel


@dataclass(frozen=True, slots=True)
class Explanation:
    """`lines` and `rounding_usd` add up to the log's stored cost; a price is there only where one rated the log."""

    price: PricedModel | None
    lines: tuple[Line, ...]
    unrounded_usd: Decimal | None
    rounding_usd: Decimal | None
    rule: str
    evidence: str
    confidence: str
    text: tuple[str, ...]


def explain(log: UsageLog) -> Explanation:
    """The charge as it was made when the log was rated."""
    price = _price(log)
    cost = costing.cost(price, rating.quantities_of_log(log)) if price else None
    exact = cost.unrounded_usd if cost else None
    return Explanation(
        price=price,
        lines=cost.lines if cost else (),
        unrounded_usd=exact,
        rounding_usd=None if exact is None else money.usd(log.cost_total) - exact,
        rule=log.detection_rule,
        evidence=log.evidence,
        confidence=log.shown_confidence,
        text=(*_charge(log, price, cost), _detection(log)),
    )


def _price(log: UsageLog) -> PricedModel | None:
    """The price that rated the log, superseded or not, as the log's model asks for it."""
    if log.price_id is None:
        return None
    day = log.timestamp.astimezone(UTC).date()
    found = price_book.current().find(log.shown_provider, log.model_used, day)
    if found and found.id == log.price_id:
        return found
    stored = price_book.stored(log.price_id)
    return replace(stored, service_tier=price_book.tier_of(log.model_used)) if stored else None


def _charge(log: UsageLog, price: PricedModel | None, cost: Cost | None) -> list[str]:
    if log.cost_source == CostSource.CALLER:
        return [f"The caller stated the cost itself: ${money.text(log.cost_total)}."]
    if log.cost_source == CostSource.UNPRICED:
        model = log.model_used or "a call without a model"
        return [f"No known price for {model} at {_label(log)} rates what was used: unpriced, not free."]
    if price is None or cost is None:
        return ["A failed call without usage costs nothing."]
    lines = [sentence(line) for line in cost.lines]
    total = f"Together ${money.text(log.cost_total)}, rounded once, half to even, to the nano-dollar."
    source = (
        f"Price {price.id} for {price.pattern} at {_label(log)}, valid from {price.valid_from}, source: {price.source}."
    )
    return [*lines, total, source]


def sentence(line: Line) -> str:
    """ "5 seconds at $0.1 each = $0.5"; tokens and characters are told by the million."""
    name = line.unit.replace("_", " ")
    if line.amount == 1:
        name = "search" if name == "searches" else name.removesuffix("s")
    if line.unit.endswith("tokens") or line.unit == "characters":
        rate = f"${money.text(line.nano_per_million)} a million"
    else:
        rate = f"${plain(Decimal(f'{line.nano_per_million}E-15'))} each"
    return f"{plain(line.amount)} {name} at {rate} = ${plain(line.usd)}"


def plain(number: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _detection(log: UsageLog) -> str:
    if log.actual_provider_name is None:
        return f"The provider is not detected yet; shown is the declared label, {log.provider}."
    return f"Served by {_label(log)} ({log.confidence}): {log.evidence}."


def _label(log: UsageLog) -> str:
    return str(rulebook.current().labels.get(log.shown_provider, log.shown_provider))
