"""The price list and its CSV, the page of a price with its history, and the form for a price from another date."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from providers import price_edits, price_history
from providers.models import Price, PriceRate, Provider
from tests.providers.test_prices_admin import price_form, rate_forms, stored_rates

PRICES_URL = "/admin/providers/price/"
TODAY = date(2026, 11, 22)
UPCOMING_DAY = TODAY + timedelta(days=10)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(TODAY)]


@pytest.fixture
def gpt_4o(db: None) -> Price:
    return Price.objects.get(pattern="gpt-4o")


def record_price(pattern: str, valid_from: date, usd: int, *, provider: str = "openai", source: str = "test") -> Price:
    new = Price(
        provider=Provider.objects.get(slug=provider), pattern=pattern, valid_from=valid_from, source=source, aliases=[]
    )
    return price_edits.add_revision(price=new, rates=[PriceRate(unit="input_tokens", nano_per_million=usd * 10**9)])


@pytest.fixture
def price_versions(gpt_4o: Price) -> dict[str, Price]:
    """gpt-4o: a shipped price from 2025-01-01, revised once; another from 2026-01-01; an upcoming one."""
    return {
        "shipped": gpt_4o,
        "revised": record_price("gpt-4o", date(2025, 1, 1), 2),
        "current": record_price("gpt-4o", date(2026, 1, 1), 3),
        "coming": record_price("gpt-4o", UPCOMING_DAY, 4),
    }


def listed_prices(client: Client, **query: str) -> list[Price]:
    change_list: Any = client.get(PRICES_URL, query).context["cl"]
    return list(change_list.result_list)


def test_the_time_line_has_end_state_and_revision_of_each_price(price_versions: dict[str, Price]) -> None:
    entries = price_history.revisions(price_versions["current"], TODAY)

    assert [(entry.price.pk, entry.until, entry.state, entry.price.revision) for entry in entries] == [
        (price_versions["coming"].pk, None, "upcoming", 1),
        (price_versions["current"].pk, UPCOMING_DAY - timedelta(days=1), "in force", 1),
        (price_versions["revised"].pk, date(2025, 12, 31), "ended", 2),
        (price_versions["shipped"].pk, None, "superseded", 1),
    ]
    assert [entry.rates_text for entry in entries] == [
        "input_tokens 4",
        "input_tokens 3",
        "input_tokens 2",
        "input_tokens 2.5, output_tokens 10",
    ]


def test_a_revision_without_rates_is_described_as_withdrawn(gpt_4o: Price) -> None:
    price_edits.add_revision(price=Price.objects.get(pk=gpt_4o.pk), rates=[])

    newest, old = price_history.revisions(gpt_4o, TODAY)
    assert (newest.state, newest.rates_text) == ("in force", "no rates: withdrawn")
    assert old.state == "superseded"


def test_the_page_shows_the_time_line_and_who_recorded_each_price(admin_client: Client, gpt_4o: Price) -> None:
    first, second = stored_rates(gpt_4o)
    form = price_form(source="invoice") | rate_forms(first | {"usd_per_million": "2"}, second, stored=2)
    admin_client.post(f"{PRICES_URL}{gpt_4o.pk}/change/", form)
    newest = Price.objects.get(source="invoice")

    response = admin_client.get(f"{PRICES_URL}{newest.pk}/change/")
    entries = [(entry.price.pk, entry.recorded_by) for entry in response.context["time_line"]]
    assert entries == [(newest.pk, "admin"), (gpt_4o.pk, "shipped with Tollgate")]
    page = " ".join(response.content.decode().split())
    assert '<span class="badge ok">in force</span>' in page
    assert "Saving creates revision 3 of the price from 2025-01-01" in page
    assert f'href="/admin/providers/price/add/?after={newest.pk}"' in page


def test_the_list_has_one_row_per_model_with_the_price_in_force_today(
    admin_client: Client, price_versions: dict[str, Price]
) -> None:
    only_coming = record_price("gpt-10", UPCOMING_DAY, 1)

    assert [row.pk for row in listed_prices(admin_client, q="gpt-4o")][:1] == [price_versions["current"].pk]
    assert [row.pk for row in listed_prices(admin_client, q="gpt-10")] == [only_coming.pk]
    page = admin_client.get(PRICES_URL, {"q": "gpt-"}).content.decode()
    assert f'2026-01-01 <span class="declared">changes on {UPCOMING_DAY}</span>' in page
    assert f'{UPCOMING_DAY} <span class="declared">upcoming</span>' in page


def test_every_date_and_revision_is_listed_on_request(admin_client: Client, price_versions: dict[str, Price]) -> None:
    listed = [row.pk for row in listed_prices(admin_client, q="gpt-4o", shown="all") if row.pattern == "gpt-4o"]
    assert listed == [price_versions[name].pk for name in ("coming", "current", "revised", "shipped")]


def test_a_model_is_found_by_its_alias(admin_client: Client) -> None:
    assert [row.pattern for row in listed_prices(admin_client, q="GEMINI-embedding-001")] == ["gemini-embedding"]


def test_the_list_takes_a_fixed_number_of_queries(admin_client: Client, django_assert_num_queries: Any) -> None:
    admin_client.get(PRICES_URL)
    # Session, user, providers and categories of the filters, count, rows, rates of the rows.
    with django_assert_num_queries(7):
        admin_client.get(PRICES_URL)


def test_the_export_has_one_row_per_listed_rate(
    admin_client: Client, price_versions: dict[str, Price], gpt_4o: Price
) -> None:
    response: Any = admin_client.get(f"{PRICES_URL}export/", {"q": "gpt-4o", "shown": "all"})
    rows = list(csv.DictReader(b"".join(response.streaming_content).decode().splitlines()))

    exported = [
        (row["valid_from"], row["revision"], row["unit"], row["usd_per_million"])
        for row in rows
        if row["model"] == "gpt-4o"
    ]
    assert exported == [
        (str(UPCOMING_DAY), "1", "input_tokens", "4"),
        ("2026-01-01", "1", "input_tokens", "3"),
        ("2025-01-01", "2", "input_tokens", "2"),
        ("2025-01-01", "1", "input_tokens", "2.5"),
        ("2025-01-01", "1", "output_tokens", "10"),
    ]


def test_the_form_for_another_date_starts_with_the_current_rates(admin_client: Client, gpt_4o: Price) -> None:
    page: Any = admin_client.get(f"{PRICES_URL}add/", {"after": gpt_4o.pk}).context
    assert page["adminform"].form.initial == {
        "provider": gpt_4o.provider,
        "pattern": "gpt-4o",
        "aliases": gpt_4o.aliases,
        "category": "text",
        "holds_for": [],
        "valid_from": TODAY,
    }
    forms = page["inline_admin_formset"].formset.forms
    assert [(form.initial.get("unit"), str(form.initial.get("usd_per_million"))) for form in forms] == [
        ("input_tokens", "2.5"),
        ("output_tokens", "10"),
        (None, "None"),
    ]

    form = price_form(provider=gpt_4o.provider_id, pattern="gpt-4o", valid_from=str(UPCOMING_DAY)) | rate_forms(
        {"unit": "input_tokens", "usd_per_million": "2.5"}, {"unit": "output_tokens", "usd_per_million": "10"}, {}
    )
    response = admin_client.post(f"{PRICES_URL}add/?after={gpt_4o.pk}", form)
    assert response.status_code == 302
    created = Price.objects.get(pattern="gpt-4o", valid_from=UPCOMING_DAY)
    assert price_history.describe(created) == "input_tokens 2.5, output_tokens 10"


@pytest.mark.parametrize("nonsense", ["", "abc", "0", "²", "9" * 30])
def test_an_unknown_price_in_the_url_starts_with_an_empty_form(admin_client: Client, nonsense: str) -> None:
    page: Any = admin_client.get(f"{PRICES_URL}add/", {"after": nonsense})
    assert page.status_code == 200
    assert page.context["adminform"].form.initial.get("pattern") is None


def test_units_in_the_url_become_rows_without_a_rate(admin_client: Client) -> None:
    page: Any = admin_client.get(
        f"{PRICES_URL}add/", {"pattern": "new", "units": "seconds,bananas,input_tokens"}
    ).context
    forms = page["inline_admin_formset"].formset.forms
    assert [form.initial.get("unit") for form in forms] == ["input_tokens", "seconds", None]


@pytest.mark.parametrize(
    ("page", "leads_to"),
    [
        ("/admin/billing/usagelog/?priced=no", "/admin/billing/usagelog/?priced=no"),
        ("https://evil.example/", PRICES_URL),
        ("//evil.example/", PRICES_URL),
        ("", PRICES_URL),
    ],
)
def test_saving_redirects_only_to_pages_of_this_site(
    admin_client: Client, gpt_4o: Price, page: str, leads_to: str
) -> None:
    form = (
        price_form(provider=gpt_4o.provider_id, pattern="new")
        | rate_forms({"unit": "images", "usd_per_million": "1"})
        | {"_save": "Save"}
    )
    response: Any = admin_client.post(f"{PRICES_URL}add/", form, query_params={"next": page})
    assert response.url == leads_to


def test_continue_editing_opens_the_new_revision(admin_client: Client, gpt_4o: Price) -> None:
    form = price_form(source="invoice", _continue="1") | rate_forms(*stored_rates(gpt_4o), stored=2)
    response: Any = admin_client.post(f"{PRICES_URL}{gpt_4o.pk}/change/", form)
    assert response.url == f"{PRICES_URL}{Price.objects.get(source='invoice').pk}/change/"


def test_a_viewer_sees_the_time_line_and_cannot_save(client: Client, gpt_4o: Price) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    before = Price.objects.count()

    page = client.get(f"{PRICES_URL}{gpt_4o.pk}/change/").content.decode()
    assert "input_tokens 2.5, output_tokens 10" in page
    assert "Add a price from another date" not in page
    form = price_form(source="viewer") | rate_forms(*stored_rates(gpt_4o), stored=2)
    assert client.post(f"{PRICES_URL}{gpt_4o.pk}/change/", form).status_code == 403
    assert Price.objects.count() == before


def test_staff_without_the_permission_cannot_export(client: Client) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    assert client.get(f"{PRICES_URL}export/").status_code == 403
