"""Call profiles are cached in memory: up to a maximum number, and until the rules or prices change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.charges import call_profile, rating
from billing.events.events import Event
from billing.models import UsageLog
from providers import price_book, rulebook
from providers.models import DetectionRule, Price, PriceRate, Provider
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def post_calls(service: Api, event_id: str) -> tuple[str, str | None]:
    """Posts one call alone and 60 in a batch. Returns their common actual provider and cost in USD."""
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
    (rated,) = {(call["actual_provider"], call["cost_usd"]) for call in (answers[0].json(), *answers[1:])}
    return rated


def test_a_new_rule_and_a_new_price_apply_to_the_next_request(service: Api) -> None:
    assert post_calls(service, "e1") == ("unknown", None)
    azure = Provider.objects.get(slug="azure")
    DetectionRule.objects.create(slug="acme", evidence="host", pattern="llm.acme.example", provider=azure)
    rulebook.invalidate()
    assert post_calls(service, "e2") == ("azure", None)
    price = Price.objects.create(provider=azure, pattern="acme-1", valid_from=date(2025, 1, 1), source="test")
    PriceRate.objects.create(price=price, unit="input_tokens", nano_per_million=2 * 10**9)
    price_book.invalidate()
    assert post_calls(service, "e3") == ("azure", "0.002")


def test_the_profile_cache_has_a_maximum_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "MAX_CACHED_PROFILES", 2)
    snapshot = rating.RatingSnapshot(rulebook.current(), price_book.current(), {})
    cached_profile_of: Any = snapshot.profile_of
    for number in range(5):
        event = Event(event_id="e", provider="openai", model=f"m{number}")
        assert snapshot.profile_of(call_profile.signature_of(event)).model == f"m{number}"

    assert cached_profile_of.cache_info().currsize == 2


def test_calls_of_one_signature_share_a_profile(service: Api) -> None:
    snapshot = rating.snapshot()
    first, second = (Event(event_id=name, provider="openai", model="gpt-4o") for name in "ab")
    at = datetime(2026, 11, 22, tzinfo=UTC)

    assert rating.rate(first, at, snapshot).profile is rating.rate(second, at, rating.snapshot()).profile


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ({"usage": {"input_tokens": 3}}, "text"),
        ({"usage": {"output_tokens": 3, "searches": 1}}, "text"),
        ({"usage": {"input_tokens": 3}, "category": "audio"}, "audio"),
        ({"usage": {"input_tokens": 3}, "model": "text-embedding-3-small"}, "embedding"),
        ({"usage": {"input_tokens": 3}, "endpoint": "https://llm.newco.ai/v9/something"}, "other"),
        ({"usage": {"input_tokens": 3, "images": 1}}, "other"),
        ({"usage": {"images": 1}}, "other"),
        ({"usage": {}}, "other"),
    ],
)
def test_a_call_without_endpoint_but_with_tokens_is_text_unless_something_says_otherwise(
    service: Api, event: dict[str, Any], category: str
) -> None:
    sent = {"event_id": "e1", "account": "acct_42", "provider": "newco", "model": "n-1"} | event
    assert service.post("usage/", sent).status_code == 201
    assert UsageLog.objects.get().category == category


def test_a_rule_of_an_operator_that_says_other_stands(service: Api) -> None:
    DetectionRule.objects.create(slug="newco", evidence="declared", pattern="newco", category="other", ignore_host=True)
    rulebook.invalidate()
    event = {"event_id": "e1", "account": "acct_42", "provider": "newco", "usage": {"input_tokens": 3}}
    assert service.post("usage/", event).status_code == 201
    assert UsageLog.objects.get().category == "other"
