"""Offers as a price source would state them, and what is in the tables: for the tests of proposals."""

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
from providers.price_sources import Left, Offer

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = AT.date()
USD = 10**9


def rate(unit: str, usd: int | str, variant: str = "", above: int = 0) -> Rate:
    return Rate(unit, variant, above, money.nano_from_usd(Decimal(usd)))


def offer(pattern: str = "m-1", *rates: Rate, **changed: Any) -> Offer:
    """Of OpenAI, at $2 for a million input tokens unless rates are given."""
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
    *statements: Offer | Left,
    source: str = "genai",
    at: datetime = AT,
    new_from: date | None = None,
    dry_run: bool = False,
) -> price_sync.Counts:
    return price_sync.run(statements, source=source, at=at, new_from=new_from, dry_run=dry_run)


def proposals(state: str = "open") -> list[PriceProposal]:
    return list(PriceProposal.objects.filter(state=state).order_by("pk"))


def everything() -> tuple[Any, ...]:
    """All that a refusal must leave as it is."""
    models: Sequence[Any] = (Price, PriceRate, PriceProposal, Provider, LogEntry)
    return *(list(model.objects.order_by("pk").values()) for model in models), price_book.read_version()


def asked(model: str, on: date = DAY, provider: str = "openai") -> tuple[Rate, ...] | None:
    """The rates by which a call of that day is priced."""
    found = price_book.current().find(provider, model, on)
    return found.rates if found else None


def operator() -> User:
    user, _ = User.objects.get_or_create(username="operator", email="operator@example.com")
    return user


def accept(*chosen: PriceProposal, at: datetime = AT) -> price_decisions.Decided:
    return price_decisions.accept([one.pk for one in chosen], actor=operator(), at=at)


def reject(*chosen: PriceProposal) -> price_decisions.Decided:
    return price_decisions.reject([one.pk for one in chosen], actor=operator(), at=AT)
