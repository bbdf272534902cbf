"""Prices in the admin: every save is a new revision, read and written in USD, in force at once; nothing is deleted."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from lib import money
from providers import price_book
from providers.costing import Quantities, Rate, cost
from providers.models import Price, PriceRate, Provider

DAY = date(2026, 11, 22)


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def gpt_4o(db: None) -> Price:
    return Price.objects.get(pattern="gpt-4o")


def rates(*given: dict[str, Any], stored: int = 0) -> dict[str, Any]:
    """The inline form's fields; the first `stored` have an id."""
    data: dict[str, Any] = {
        "rates-TOTAL_FORMS": len(given),
        "rates-INITIAL_FORMS": stored,
        "rates-MIN_NUM_FORMS": 0,
        "rates-MAX_NUM_FORMS": 99,
    }
    for number, rate in enumerate(given):
        row = {"unit": "", "variant": "", "above": 0, "usd_per_million": ""} | rate
        data |= {f"rates-{number}-{name}": value for name, value in row.items()}
    return data


def price(**changed: str | int) -> dict[str, Any]:
    fields: dict[str, Any] = {"aliases": "", "category": "text", "valid_from": "2025-01-01", "source": "price page"}
    return fields | changed


def stored_rates(of: Price) -> list[dict[str, Any]]:
    found = of.rates.order_by("pk")
    return [
        {"id": rate.pk, "unit": rate.unit, "usd_per_million": money.exact_usd(rate.nano_per_million)} for rate in found
    ]


def everything() -> tuple[list[Any], list[Any], int]:
    return list(Price.objects.values()), list(PriceRate.objects.values()), price_book.read_version()


def address(of: Price) -> str:
    return f"/admin/providers/price/{of.pk}/change/"


def test_a_new_price_is_in_force_with_the_next_look(operator: Client) -> None:
    assert price_book.current().find("openai", "gpt-9", DAY) is None
    openai = Provider.objects.get(slug="openai")
    form = price(provider=openai.pk, pattern=" GPT-9 ", aliases="gpt-nine\n GPT-9X \n\ngpt-nine") | rates(
        {"unit": "input_tokens", "usd_per_million": "1.25"},
        {
            "unit": "output_tokens",
            "usd_per_million": "0.000000001",
            "variant": "Service_Tier=Batch, quality=hd",
            "above": 5,
        },
        {},
    )
    answer = operator.post("/admin/providers/price/add/", form)
    assert answer.status_code == 302
    made = Price.objects.get(pattern="gpt-9")
    assert (made.revision, made.aliases, made.shipped, made.source) == (1, ["gpt-nine", "gpt-9x"], False, "price page")
    found = price_book.current().find("openai", "gpt-9", DAY)
    assert found is not None
    assert found.rates == (
        Rate("input_tokens", "", 0, 1_250_000_000),
        Rate("output_tokens", "quality=hd,service_tier=batch", 5, 1),
    )


def test_saving_makes_a_new_revision_and_keeps_the_old_one(operator: Client, gpt_4o: Price) -> None:
    before = list(gpt_4o.rates.values())
    first, second = stored_rates(gpt_4o)
    form = price(source="corrected") | rates(first | {"usd_per_million": "2"}, second, stored=2)
    answer = operator.post(address(gpt_4o), form)
    assert answer.status_code == 302
    old, new = Price.objects.filter(pattern="gpt-4o").order_by("revision")
    assert (old.pk, old.source, old.shipped, list(old.rates.values())) == (gpt_4o.pk, "earlier system", True, before)
    assert (new.revision, new.source, new.shipped) == (2, "corrected", False)
    found = price_book.current().find("openai", "gpt-4o", DAY)
    assert found is not None
    assert (found.id, cost(found, Quantities(input_tokens=10, output_tokens=1)).total_nano) == (new.pk, 30_000)


def test_a_later_day_supersedes_from_that_day(operator: Client, gpt_4o: Price) -> None:
    first, second = stored_rates(gpt_4o)
    form = price(valid_from="2026-12-01") | rates(first, second | {"DELETE": "on"}, stored=2)
    assert operator.post(address(gpt_4o), form).status_code == 302
    new = Price.objects.get(pattern="gpt-4o", valid_from="2026-12-01")
    assert (new.revision, list(new.rates.values_list("unit", "nano_per_million"))) == (
        1,
        [("input_tokens", 2_500_000_000)],
    )
    book = price_book.current()
    found = [book.find("openai", "gpt-4o", day) for day in (date(2026, 11, 30), date(2026, 12, 1))]
    assert [each.id for each in found if each] == [gpt_4o.pk, new.pk]


def test_saving_without_a_change_makes_nothing(operator: Client, gpt_4o: Price) -> None:
    before = everything()
    form = price(source=gpt_4o.source) | rates(*stored_rates(gpt_4o), {}, stored=2)
    assert operator.post(address(gpt_4o), form).status_code == 302
    assert everything() == before


def test_provider_and_model_of_a_price_stay(operator: Client, gpt_4o: Price) -> None:
    form = price(pattern="other", provider=1, source="new") | rates(*stored_rates(gpt_4o), stored=2)
    operator.post(address(gpt_4o), form)
    assert list(Price.objects.filter(source="new").values_list("provider__slug", "pattern")) == [("openai", "gpt-4o")]


@pytest.mark.parametrize(
    ("changed", "rate", "told"),
    [
        ({"aliases": "gpt-*"}, {}, "An alias is a whole id"),
        ({"source": ""}, {}, "This field is required"),
        ({"valid_from": "soon"}, {}, "Enter a valid date"),
        ({}, {"unit": "bananas", "usd_per_million": "1"}, "Select a valid choice"),
        ({}, {"unit": "seconds", "usd_per_million": "-1"}, "greater than or equal to 0"),
        ({}, {"unit": "seconds", "usd_per_million": "0.0000000001"}, "no more than 9 decimal places"),
        ({}, {"unit": "seconds", "usd_per_million": "1e30"}, "no more than 18 digits"),
        ({}, {"unit": "seconds", "usd_per_million": "NaN"}, "Enter a number"),
        ({}, {"unit": "seconds", "usd_per_million": ""}, "This field is required"),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "colour=red"}, "Write resolution="),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "quality=a,quality=b"}, "Write resolution="),
        ({}, {"unit": "input_tokens", "usd_per_million": "1"}, "Please correct the duplicate data"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    operator: Client, gpt_4o: Price, changed: dict[str, str], rate: dict[str, str], told: str
) -> None:
    before = everything()
    answer = operator.post(address(gpt_4o), price(**changed) | rates(*stored_rates(gpt_4o), rate, stored=2))
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert everything() == before


def test_the_form_and_the_list_speak_usd(operator: Client, gpt_4o: Price) -> None:
    assert 'value="2.5"' in operator.get(address(gpt_4o)).content.decode()
    page = operator.get("/admin/providers/price/?q=gemini-1.5-pro").content.decode()
    assert (
        "input_tokens 1.25, output_tokens 5, input_tokens 2.5 (above 128000), output_tokens 10 (above 128000)" in page
    )


def test_no_price_is_deleted(operator: Client, gpt_4o: Price) -> None:
    before = everything()
    assert operator.post(f"/admin/providers/price/{gpt_4o.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(
        "/admin/providers/price/", {"action": "delete_selected", "_selected_action": gpt_4o.pk, "post": "yes"}
    )
    assert everything() == before
