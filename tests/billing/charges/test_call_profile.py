"""What calls of one kind have in common is kept in memory: never for ever, and never beyond a change of the books."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.charges import call_profile, rating
from billing.events.events import Event
from providers import price_book, rulebook
from providers.models import DetectionRule, Price, PriceRate, Provider
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def posted(service: Api, event_id: str) -> tuple[str, str | None]:
    event = {
        "event_id": event_id,
        "account": "a",
        "provider": "openai",
        "model": "acme-1",
        "endpoint": "https://llm.acme.example/v1",
        "usage": {"input_tokens": 1000},
    }
    answers: list[Any] = [service.post("usage/", event)]
    batch = [{**event, "event_id": f"{event_id}-{number}"} for number in range(60)]
    answers += service.post("usage/", {"events": batch}).json()["results"]
    (told,) = {(one["actual_provider"], one["cost_usd"]) for one in (answers[0].json(), *answers[1:])}
    return told


def test_a_new_rule_and_a_new_price_hold_for_the_next_request(service: Api) -> None:
    assert posted(service, "e1") == ("unknown", None)
    azure = Provider.objects.get(slug="azure")
    DetectionRule.objects.create(slug="acme", evidence="host", pattern="llm.acme.example", provider=azure)
    rulebook.changed()
    assert posted(service, "e2") == ("azure", None)
    price = Price.objects.create(provider=azure, pattern="acme-1", valid_from=date(2025, 1, 1), source="test")
    PriceRate.objects.create(price=price, unit="input_tokens", nano_per_million=2 * 10**9)
    price_book.changed()
    assert posted(service, "e3") == ("azure", "0.002")


def test_no_more_kinds_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "KINDS", 2)
    books = rating.RatingSnapshot(rulebook.current(), price_book.current())
    memo: Any = books.kind
    for number in range(5):
        event = Event(event_id="e", provider="openai", model=f"m{number}")
        assert books.kind(call_profile.said(event)).model == f"m{number}"

    assert memo.cache_info().currsize == 2


def test_one_kind_is_one_object(service: Api) -> None:
    books = rating.snapshot()
    first, second = (Event(event_id=name, provider="openai", model="gpt-4o") for name in "ab")
    at = datetime(2026, 11, 22, tzinfo=UTC)

    assert rating.rate(first, at, books).kind is rating.rate(second, at, rating.snapshot()).kind
