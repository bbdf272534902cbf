"""Loads what a release ships (providers, rules, prices, meters, plans) into the database, and says what changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from billing.plans import shipped_plans
from providers import shipped, shipped_prices


def load(*, at: datetime) -> Iterator[str]:
    """Loads everything that is new. Yields one line for each kind of row that changed."""
    providers, rules = shipped.load()
    if text := providers.describe():
        yield f"Providers: {text}"
    if text := rules.describe():
        yield f"Detection rules: {text}"
    prices, proposals = shipped_prices.load(at=at)
    if prices or proposals:
        yield f"Prices: {prices} added, {proposals} waiting as proposals"
    meters, plans = shipped_plans.load(at=at)
    if meters or plans:
        yield f"Meters and plans: {meters} meters and {plans} plans added"
