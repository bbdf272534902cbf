"""Prices in the admin: each save adds a revision, amounts are in USD, changes apply at once, nothing is deleted."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from lib import money
from providers import price_book
from providers.costing import Rate, cost
from providers.models import Price, PriceRate, Provider
from providers.quantities import Quantities, Variant

DAY = date(2026, 11, 22)


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def gpt_4o(db: None) -> Price:
    return Price.objects.get(pattern="gpt-4o")


def rate_forms(*rows: dict[str, Any], stored: int = 0) -> dict[str, Any]:
    """Form data of the inline rates, of which the first `stored` exist in the database."""
    data: dict[str, Any] = {
        "rates-TOTAL_FORMS": len(rows),
        "rates-INITIAL_FORMS": stored,
        "rates-MIN_NUM_FORMS": 0,
        "rates-MAX_NUM_FORMS": 99,
    }
    for number, rate in enumerate(rows):
        row = {"unit": "", "variant": "", "above": 0, "usd_per_million": ""} | rate
        data |= {f"rates-{number}-{name}": value for name, value in row.items()}
    return data


def price_form(**changed: str | int | list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"aliases": "", "category": "text", "valid_from": "2025-01-01", "source": "price page"}
    return fields | changed


def stored_rates(price: Price) -> list[dict[str, Any]]:
    price_rates = price.rates.order_by("pk")
    return [
        {"id": rate.pk, "unit": rate.unit, "usd_per_million": money.exact_usd(rate.nano_per_million)}
        for rate in price_rates
    ]


def stored_state() -> tuple[list[Any], list[Any], int]:
    return list(Price.objects.values()), list(PriceRate.objects.values()), price_book.read_version()


def change_url(price: Price) -> str:
    return f"/admin/providers/price/{price.pk}/change/"


def test_a_new_price_is_in_force_on_the_next_lookup(operator: Client) -> None:
    assert price_book.current().find("openai", "gpt-9", DAY) is None
    openai = Provider.objects.get(slug="openai")
    form = price_form(provider=openai.pk, pattern=" GPT-9 ", aliases="gpt-nine\n GPT-9X \n\ngpt-nine") | rate_forms(
        {"unit": "input_tokens", "usd_per_million": "1.25"},
        {
            "unit": "output_tokens",
            "usd_per_million": "0.000000001",
            "variant": "Service_Tier=Batch, quality=hd",
            "above": 5,
        },
        {},
    )
    response = operator.post("/admin/providers/price/add/", form)
    assert response.status_code == 302
    created = Price.objects.get(pattern="gpt-9")
    assert (created.revision, created.aliases, created.shipped, created.source) == (
        1,
        ["gpt-nine", "gpt-9x"],
        False,
        "price page",
    )
    match = price_book.current().find("openai", "gpt-9", DAY)
    assert match is not None
    assert match.rates == (
        Rate("input_tokens", "", 0, 1_250_000_000),
        Rate("output_tokens", "quality=hd,service_tier=batch", 5, 1),
    )


def test_saving_adds_a_revision_and_keeps_the_old_one(operator: Client, gpt_4o: Price) -> None:
    before = list(gpt_4o.rates.values())
    first, second = stored_rates(gpt_4o)
    form = price_form(source="corrected") | rate_forms(first | {"usd_per_million": "2"}, second, stored=2)
    response = operator.post(change_url(gpt_4o), form)
    assert response.status_code == 302
    old, new = Price.objects.filter(pattern="gpt-4o").order_by("revision")
    assert (old.pk, old.source, old.shipped, list(old.rates.values())) == (gpt_4o.pk, "earlier system", True, before)
    assert (new.revision, new.source, new.shipped) == (2, "corrected", False)
    match = price_book.current().find("openai", "gpt-4o", DAY)
    assert match is not None
    assert (match.id, cost(match, Quantities(input_tokens=10, output_tokens=1)).total_nano) == (new.pk, 30_000)


def test_a_later_start_date_adds_a_price_from_that_day(operator: Client, gpt_4o: Price) -> None:
    first, second = stored_rates(gpt_4o)
    form = price_form(valid_from="2026-12-01") | rate_forms(first, second | {"DELETE": "on"}, stored=2)
    assert operator.post(change_url(gpt_4o), form).status_code == 302
    new = Price.objects.get(pattern="gpt-4o", valid_from="2026-12-01")
    assert (new.revision, list(new.rates.values_list("unit", "nano_per_million"))) == (
        1,
        [("input_tokens", 2_500_000_000)],
    )
    book = price_book.current()
    matches = [book.find("openai", "gpt-4o", day) for day in (date(2026, 11, 30), date(2026, 12, 1))]
    assert [match.id for match in matches if match] == [gpt_4o.pk, new.pk]


def test_saving_without_a_change_adds_no_revision(operator: Client, gpt_4o: Price) -> None:
    before = stored_state()
    form = price_form(source=gpt_4o.source) | rate_forms(*stored_rates(gpt_4o), {}, stored=2)
    assert operator.post(change_url(gpt_4o), form).status_code == 302
    assert stored_state() == before


def test_provider_and_model_of_a_price_cannot_be_changed(operator: Client, gpt_4o: Price) -> None:
    form = price_form(pattern="other", provider=1, source="new") | rate_forms(*stored_rates(gpt_4o), stored=2)
    operator.post(change_url(gpt_4o), form)
    assert list(Price.objects.filter(source="new").values_list("provider__slug", "pattern")) == [("openai", "gpt-4o")]


@pytest.mark.parametrize(
    ("changed", "rate", "message"),
    [
        ({"aliases": "gpt-*"}, {}, "An alias must be a complete model id."),
        ({"source": ""}, {}, "This field is required"),
        ({"valid_from": "soon"}, {}, "Enter a valid date"),
        ({}, {"unit": "bananas", "usd_per_million": "1"}, "Select a valid choice"),
        ({}, {"unit": "seconds", "usd_per_million": "-1"}, "greater than or equal to 0"),
        ({}, {"unit": "seconds", "usd_per_million": "0.0000000001"}, "no more than 9 decimal places"),
        ({}, {"unit": "seconds", "usd_per_million": "1e30"}, "no more than 18 digits"),
        ({}, {"unit": "seconds", "usd_per_million": "NaN"}, "Enter a number"),
        ({}, {"unit": "seconds", "usd_per_million": ""}, "This field is required"),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "colour=red"}, "Use service_tier="),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "quality=a,quality=b"}, "each at most once"),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "context=long"}, "Use service_tier="),
        ({}, {"unit": "seconds", "usd_per_million": "1", "variant": "hours=25:00-02:00"}, "as a UTC window"),
        ({"holds_for": "region"}, {"unit": "seconds", "usd_per_million": "1"}, "region is not one of the available"),
        ({}, {"unit": "input_tokens", "usd_per_million": "1"}, "Please correct the duplicate data"),
    ],
)
def test_an_invalid_value_is_refused_and_nothing_changes(
    operator: Client, gpt_4o: Price, changed: dict[str, str], rate: dict[str, str], message: str
) -> None:
    before = stored_state()
    response = operator.post(
        change_url(gpt_4o), price_form(**changed) | rate_forms(*stored_rates(gpt_4o), rate, stored=2)
    )
    assert response.status_code == 200
    assert message in response.content.decode()
    assert stored_state() == before


def test_a_price_may_hold_for_every_value_of_a_condition(operator: Client, gpt_4o: Price) -> None:
    batch = Quantities(input_tokens=1_000_000, variant=Variant(service_tier="batch"))
    old = price_book.current().find("openai", "gpt-4o", DAY)
    assert old is not None
    assert cost(old, batch) == (0, 0, 0, 0, (), False, "service_tier=batch")
    form = price_form(source="earlier system", holds_for=["speed", "service_tier"])
    url = change_url(gpt_4o)
    assert operator.post(url, form | rate_forms(*stored_rates(gpt_4o), stored=2)).status_code == 302
    new = Price.objects.get(pattern="gpt-4o", revision=2)
    assert (gpt_4o.holds_for, new.holds_for) == ([], ["service_tier", "speed"])
    price = price_book.current().find("openai", "gpt-4o", DAY)
    assert price is not None
    assert (price.id, price.holds_for, cost(price, batch).total_nano) == (
        new.pk,
        frozenset({"service_tier", "speed"}),
        2_500_000_000,
    )
    page = operator.get(change_url(new)).content.decode()
    assert 'value="speed" id="id_holds_for_1" checked' in page
    assert "input_tokens 2.5, output_tokens 10; for every service tier and speed" in page
    export: Any = operator.get("/admin/providers/price/export/?q=gpt-4o")
    listed = b"".join(export.streaming_content).decode().splitlines()
    assert listed[0].endswith(",source,holds_for")
    assert [line for line in listed if line.endswith("service_tier speed")] == [
        "openai,gpt-4o,,text,2025-01-01,2,input_tokens,,0,2.5,earlier system,service_tier speed",
        "openai,gpt-4o,,text,2025-01-01,2,output_tokens,,0,10,earlier system,service_tier speed",
    ]


def test_the_form_and_the_list_show_usd(operator: Client, gpt_4o: Price) -> None:
    assert 'value="2.5"' in operator.get(change_url(gpt_4o)).content.decode()
    page = operator.get("/admin/providers/price/?q=gemini-1.5-pro").content.decode()
    assert (
        "input_tokens 1.25, output_tokens 5, input_tokens 2.5 (above 128000), output_tokens 10 (above 128000)" in page
    )


def test_a_price_cannot_be_deleted(operator: Client, gpt_4o: Price) -> None:
    before = stored_state()
    assert operator.post(f"/admin/providers/price/{gpt_4o.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(
        "/admin/providers/price/", {"action": "delete_selected", "_selected_action": gpt_4o.pk, "post": "yes"}
    )
    assert stored_state() == before
