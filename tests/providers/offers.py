"""Sample offers of a price source, and functions that sync, accept and reject them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth.models import User

from lib import money
from providers import price_book, price_decisions, price_sync
from providers.costing import Rate
from providers.models import Price, PriceProposal, PriceRate, Provider
from providers.price_sources import Offer, Omission

SYNC_TIME = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SYNC_DAY = SYNC_TIME.date()
NANO_PER_USD = 10**9


def rate(unit: str, usd: int | str, variant: str = "", above: int = 0) -> Rate:
    return Rate(unit, variant, above, money.nano_from_usd(Decimal(usd)))


def offer(pattern: str = "m-1", *rates: Rate, **changed: Any) -> Offer:
    """An offer of OpenAI; without rates: $2 per million input tokens."""
    fields: dict[str, Any] = {
        "provider": "openai",
        "provider_name": "OpenAI",
        "aliases": (),
        "category": "text",
        "valid_from": None,
        "source": "genai-prices 1.0",
    }
    return Offer(pattern=pattern, rates=rates or (rate("input_tokens", 2),), **(fields | changed))


def sync(
    *statements: Offer | Omission,
    source: str = "genai",
    at: datetime = SYNC_TIME,
    new_from: date | None = None,
    dry_run: bool = False,
) -> price_sync.SyncCounts:
    return price_sync.run(statements, source=source, at=at, new_from=new_from, dry_run=dry_run)


def proposals(state: str = "open") -> list[PriceProposal]:
    return list(PriceProposal.objects.filter(state=state).order_by("pk"))


def stored_state() -> tuple[Any, ...]:
    """The rows and the price book version that a refusal must leave unchanged."""
    models: Sequence[Any] = (Price, PriceRate, PriceProposal, Provider, LogEntry)
    return *(list(model.objects.order_by("pk").values()) for model in models), price_book.read_version()


def rates_on(model: str, day: date = SYNC_DAY, provider: str = "openai") -> tuple[Rate, ...] | None:
    """The rates of a call on that day; None without a price."""
    price = price_book.current().find(provider, model, day)
    return price.rates if price else None


def operator() -> User:
    user, _ = User.objects.get_or_create(username="operator", email="operator@example.com")
    return user


def accept(*chosen: PriceProposal, at: datetime = SYNC_TIME) -> price_decisions.DecisionResult:
    return price_decisions.accept([proposal.pk for proposal in chosen], actor=operator(), at=at)


def reject(*chosen: PriceProposal) -> price_decisions.DecisionResult:
    return price_decisions.reject([proposal.pk for proposal in chosen], actor=operator(), at=SYNC_TIME)
