"""`GET prices/`: the prices by which the events of a day are rated."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.models import Account
from providers import price_book, price_edits
from providers.models import Price, PriceRate, Provider
from tests.conftest import Api

pytestmark = pytest.mark.django_db

GPT_4O_MINI: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "valid_from": "2025-01-01",
    "source": "earlier system",
    "holds_for": [],
    "rates": [
        {"unit": "input_tokens", "variant": "", "above": 0, "rate_usd_per_million": "0.15"},
        {"unit": "output_tokens", "variant": "", "above": 0, "rate_usd_per_million": "0.6"},
    ],
}


def matches(response: Any) -> list[tuple[str, str, str]]:
    return [(price["provider"], price["model"], price["matched_by"]) for price in response.json()["results"]]


def test_one_model_of_one_provider_has_one_price(service: Api) -> None:
    response = service.get("prices/", provider="openai", model="gpt-4o-mini", at="2026-11-22")
    assert response.status_code == 200
    price = Price.objects.get(pattern="gpt-4o-mini")
    assert response.json() == {"at": "2026-11-22", "results": [GPT_4O_MINI | {"id": price.pk, "matched_by": "exact"}]}


def test_matched_by_says_how_the_model_matched(service: Api) -> None:
    assert matches(service.get("prices/", provider="OpenAI", model="GPT-4o-2024-08-06")) == [
        ("openai", "gpt-4o", "alias")
    ]
    assert matches(service.get("prices/", provider="stability", model="stable-diffusion-xl")) == [
        ("stability", "stable-diffusion*", "glob")
    ]


def test_without_a_provider_every_provider_of_the_model_is_listed(service: Api) -> None:
    assert matches(service.get("prices/", model="openai/gpt-oss-120b")) == [
        ("huggingface", "gpt-oss-120b", "alias"),
        ("local", "*", "glob"),
        ("wavespeed", "openai/gpt-oss-120b", "exact"),
    ]


def test_without_a_model_every_price_in_force_is_listed(service: Api) -> None:
    results = service.get("prices/", provider="exa", model="", at="").json()["results"]
    assert [(price["model"], price["matched_by"]) for price in results] == [
        ("exa-search", None),
        ("metaphor-search", None),
    ]
    assert len(service.get("prices/").json()["results"]) == Price.objects.count()


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        ("2024-12-31", None),
        ("2025-01-01", "2.5"),
        ("2026-02-28T23:59:59.999999Z", "2.5"),
        ("2026-03-01T00:30:00+02:00", "2.5"),
        ("2026-03-01T00:00:00Z", "4.000000001"),
        ("2026-02-28T23:30:00-02:00", "4.000000001"),
    ],
)
def test_at_selects_the_price_of_the_utc_day(service: Api, at: str, rate: str | None) -> None:
    new = Price(provider=Provider.objects.get(slug="openai"), pattern="gpt-4o", valid_from="2026-03-01", source="test")
    price_edits.add_revision(price=new, rates=[PriceRate(unit="input_tokens", nano_per_million=4_000_000_001)])
    results = service.get("prices/", provider="openai", model="gpt-4o", at=at).json()["results"]
    assert [price["rates"][0]["rate_usd_per_million"] for price in results] == ([rate] if rate else [])


def test_at_defaults_to_today(service: Api) -> None:
    assert service.get("prices/", provider="openai").json()["at"] == timezone.now().date().isoformat()


def test_tiers_and_variants_are_listed(service: Api) -> None:
    rates = service.get("prices/", provider="google", model="gemini-2.5-pro").json()["results"][0]["rates"]
    assert [(rate["unit"], rate["above"], rate["rate_usd_per_million"]) for rate in rates] == [
        ("input_tokens", 0, "1.25"),
        ("input_tokens", 200_000, "2.5"),
        ("output_tokens", 0, "10"),
        ("output_tokens", 200_000, "15"),
    ]
    rates = service.get("prices/", provider="wavespeed", model="alibaba/wan-2.5/text-to-video").json()["results"][0][
        "rates"
    ]
    assert [(rate["unit"], rate["variant"], rate["rate_usd_per_million"]) for rate in rates] == [
        ("requests", "resolution=", "250000"),
        ("seconds", "resolution=1080p", "150000"),
        ("seconds", "resolution=480p", "50000"),
        ("seconds", "resolution=720p", "100000"),
    ]


@pytest.mark.parametrize("query", [{"provider": "nobody"}, {"provider": "openai", "model": "gpt-9"}])
def test_an_unknown_provider_or_model_gives_an_empty_list(service: Api, query: dict[str, str]) -> None:
    response = service.get("prices/", **query)
    assert (response.status_code, response.json()["results"]) == (200, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", "yesterday"),
        ("at", "2026-02-30"),
        ("at", "2026-11-22T10:00:00"),
        ("at", "2026-W47-7"),
        ("at", "20261122"),
        ("at", "1774137600"),
        ("at", "0001-01-01T00:00:00+14:00"),
        ("at", "9999-12-31T23:59:59-14:00"),
        ("at", "2026-11-22T10:00:00+99:00"),
        ("at", "\uff12026-11-22"),
        ("at", "2026-11-22\x00"),
        ("model", "m" * 201),
        ("model", "m\x00"),
        ("provider", "p" * 51),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(service: Api, field: str, value: str) -> None:
    response = service.get("prices/", **{field: value})
    assert (response.status_code, response.json()["type"]) == (422, "validation_error")
    assert {error["attr"] for error in response.json()["errors"]} == {field}


def test_it_needs_a_key_with_the_read_scope(account: Account) -> None:
    assert Client().get("/api/v1/prices/").status_code == 401
    assert Api("ingest").get("prices/").status_code == 403
    assert Api("read", account=account).get("prices/", provider="exa").status_code == 200


def test_it_takes_one_query_in_addition_to_the_key(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    service.get("prices/")
    price_book.current()
    with django_assert_num_queries(2):  # API key, version of the price book
        service.get("prices/", model="gpt-4o")
