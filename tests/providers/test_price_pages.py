"""The price list with one row a model, its CSV, a price's page with the time line, and prices begun from another page."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from providers import price_edits, price_history
from providers.models import Price, PriceRate, Provider
from tests.providers.test_prices_admin import price, rates, stored_rates

PRICES = "/admin/providers/price/"
TODAY = date(2026, 11, 22)
SOON = TODAY + timedelta(days=10)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(TODAY)]


@pytest.fixture
def gpt_4o(db: None) -> Price:
    return Price.objects.get(pattern="gpt-4o")


def recorded(pattern: str, valid_from: date, usd: int, *, provider: str = "openai", source: str = "test") -> Price:
    one = Price(
        provider=Provider.objects.get(slug=provider), pattern=pattern, valid_from=valid_from, source=source, aliases=[]
    )
    return price_edits.record(price=one, rates=[PriceRate(unit="input_tokens", nano_per_million=usd * 10**9)])


@pytest.fixture
def line(gpt_4o: Price) -> dict[str, Price]:
    """gpt-4o: shipped from 2025-01-01, revised once, another price from 2026-01-01, a third to come."""
    return {
        "shipped": gpt_4o,
        "revised": recorded("gpt-4o", date(2025, 1, 1), 2),
        "current": recorded("gpt-4o", date(2026, 1, 1), 3),
        "coming": recorded("gpt-4o", SOON, 4),
    }


def shown(client: Client, **query: str) -> list[Price]:
    page: Any = client.get(PRICES, query).context["cl"]
    return list(page.result_list)


def test_the_time_line_says_from_until_state_and_revision(line: dict[str, Price]) -> None:
    entries = price_history.of(line["current"], TODAY)

    assert [(entry.price.pk, entry.until, entry.state, entry.price.revision) for entry in entries] == [
        (line["coming"].pk, None, "to come", 1),
        (line["current"].pk, SOON - timedelta(days=1), "in force", 1),
        (line["revised"].pk, date(2025, 12, 31), "ended", 2),
        (line["shipped"].pk, None, "superseded", 1),
    ]
    assert [entry.asked for entry in entries] == [
        "input_tokens 4",
        "input_tokens 3",
        "input_tokens 2",
        "input_tokens 2.5, output_tokens 10",
    ]


def test_a_revision_without_rates_is_told_as_out_of_force(gpt_4o: Price) -> None:
    price_edits.record(price=Price.objects.get(pk=gpt_4o.pk), rates=[])

    newest, old = price_history.of(gpt_4o, TODAY)
    assert (newest.state, newest.asked) == ("in force", "nothing: out of force")
    assert old.state == "superseded"


def test_the_page_tells_the_time_line_and_who_recorded_a_price(admin_client: Client, gpt_4o: Price) -> None:
    first, second = stored_rates(gpt_4o)
    form = price(source="invoice") | rates(first | {"usd_per_million": "2"}, second, stored=2)
    admin_client.post(f"{PRICES}{gpt_4o.pk}/change/", form)
    newest = Price.objects.get(source="invoice")

    answer = admin_client.get(f"{PRICES}{newest.pk}/change/")
    entries = [(entry.price.pk, entry.recorded_by) for entry in answer.context["time_line"]]
    assert entries == [(newest.pk, "admin"), (gpt_4o.pk, "shipped with Tollgate")]
    page = " ".join(answer.content.decode().split())
    assert '<span class="badge ok">in force</span>' in page
    assert "A price that rated a log is never edited: saving makes revision 3 of the price from 2025-01-01" in page
    assert f'href="/admin/providers/price/add/?after={newest.pk}"' in page


def test_the_list_has_one_row_a_model_with_what_is_asked_today(admin_client: Client, line: dict[str, Price]) -> None:
    only_coming = recorded("gpt-10", SOON, 1)

    assert [one.pk for one in shown(admin_client, q="gpt-4o")][:1] == [line["current"].pk]
    assert [one.pk for one in shown(admin_client, q="gpt-10")] == [only_coming.pk]
    page = admin_client.get(PRICES, {"q": "gpt-"}).content.decode()
    assert f'2026-01-01 <span class="declared">changes on {SOON}</span>' in page
    assert f'{SOON} <span class="declared">to come</span>' in page


def test_every_date_and_revision_is_listed_on_request(admin_client: Client, line: dict[str, Price]) -> None:
    found = [one.pk for one in shown(admin_client, q="gpt-4o", shown="all") if one.pattern == "gpt-4o"]
    assert found == [line[name].pk for name in ("coming", "current", "revised", "shipped")]


def test_a_model_is_found_by_its_alias(admin_client: Client) -> None:
    assert [one.pattern for one in shown(admin_client, q="GEMINI-embedding-001")] == ["gemini-embedding"]


def test_the_list_takes_a_fixed_number_of_queries(admin_client: Client, django_assert_num_queries: Any) -> None:
    admin_client.get(PRICES)
    # Session, user, providers and categories of the filters, count, rows, their rates.
    with django_assert_num_queries(7):
        admin_client.get(PRICES)


def test_the_export_has_a_line_for_each_rate_that_the_list_shows(
    admin_client: Client, line: dict[str, Price], gpt_4o: Price
) -> None:
    answer: Any = admin_client.get(f"{PRICES}export/", {"q": "gpt-4o", "shown": "all"})
    lines = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))

    told = [
        (one["valid_from"], one["revision"], one["unit"], one["usd_per_million"])
        for one in lines
        if one["model"] == "gpt-4o"
    ]
    assert told == [
        (str(SOON), "1", "input_tokens", "4"),
        ("2026-01-01", "1", "input_tokens", "3"),
        ("2025-01-01", "2", "input_tokens", "2"),
        ("2025-01-01", "1", "input_tokens", "2.5"),
        ("2025-01-01", "1", "output_tokens", "10"),
    ]


def test_a_price_from_a_date_begins_with_the_rates_asked_now(admin_client: Client, gpt_4o: Price) -> None:
    page: Any = admin_client.get(f"{PRICES}add/", {"after": gpt_4o.pk}).context
    assert page["adminform"].form.initial == {
        "provider": gpt_4o.provider,
        "pattern": "gpt-4o",
        "aliases": gpt_4o.aliases,
        "category": "text",
        "valid_from": TODAY,
    }
    forms = page["inline_admin_formset"].formset.forms
    assert [(form.initial.get("unit"), str(form.initial.get("usd_per_million"))) for form in forms] == [
        ("input_tokens", "2.5"),
        ("output_tokens", "10"),
        (None, "None"),
    ]

    form = price(provider=gpt_4o.provider_id, pattern="gpt-4o", valid_from=str(SOON)) | rates(
        {"unit": "input_tokens", "usd_per_million": "2.5"}, {"unit": "output_tokens", "usd_per_million": "10"}, {}
    )
    answer = admin_client.post(f"{PRICES}add/?after={gpt_4o.pk}", form)
    assert answer.status_code == 302
    made = Price.objects.get(pattern="gpt-4o", valid_from=SOON)
    assert price_history.in_words(made) == "input_tokens 2.5, output_tokens 10"


@pytest.mark.parametrize("nonsense", ["", "abc", "0", "²", "9" * 30])
def test_an_address_that_names_no_price_begins_with_an_empty_form(admin_client: Client, nonsense: str) -> None:
    page: Any = admin_client.get(f"{PRICES}add/", {"after": nonsense})
    assert page.status_code == 200
    assert page.context["adminform"].form.initial.get("pattern") is None


def test_units_of_the_address_become_rows_without_a_rate(admin_client: Client) -> None:
    page: Any = admin_client.get(f"{PRICES}add/", {"pattern": "new", "units": "seconds,bananas,input_tokens"}).context
    forms = page["inline_admin_formset"].formset.forms
    assert [form.initial.get("unit") for form in forms] == ["input_tokens", "seconds", None]


@pytest.mark.parametrize(
    ("page", "leads_to"),
    [
        ("/admin/billing/usagelog/?priced=no", "/admin/billing/usagelog/?priced=no"),
        ("https://evil.example/", PRICES),
        ("//evil.example/", PRICES),
        ("", PRICES),
    ],
)
def test_after_saving_the_operator_is_led_to_a_page_of_this_site_only(
    admin_client: Client, gpt_4o: Price, page: str, leads_to: str
) -> None:
    form = (
        price(provider=gpt_4o.provider_id, pattern="new")
        | rates({"unit": "images", "usd_per_million": "1"})
        | {"_save": "Save"}
    )
    answer: Any = admin_client.post(f"{PRICES}add/", form, query_params={"next": page})
    assert answer.url == leads_to


def test_editing_goes_on_with_the_new_revision(admin_client: Client, gpt_4o: Price) -> None:
    form = price(source="invoice", _continue="1") | rates(*stored_rates(gpt_4o), stored=2)
    answer: Any = admin_client.post(f"{PRICES}{gpt_4o.pk}/change/", form)
    assert answer.url == f"{PRICES}{Price.objects.get(source='invoice').pk}/change/"


def test_a_viewer_reads_the_time_line_and_can_save_nothing(client: Client, gpt_4o: Price) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    before = Price.objects.count()

    page = client.get(f"{PRICES}{gpt_4o.pk}/change/").content.decode()
    assert "input_tokens 2.5, output_tokens 10" in page
    assert "Add a price from a date" not in page
    form = price(source="viewer") | rates(*stored_rates(gpt_4o), stored=2)
    assert client.post(f"{PRICES}{gpt_4o.pk}/change/", form).status_code == 403
    assert Price.objects.count() == before


def test_staff_without_the_permission_export_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    assert client.get(f"{PRICES}export/").status_code == 403
