"""The operators' list of unpriced models: its figures, times and links, and how to add a price."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client

from billing.accounts import accounts
from billing.models import Account, UsageLog
from billing.plans import anchor_changes
from billing.reports import unpriced
from providers.models import Provider
from tests.billing.usage import record
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db
PAGE_URL = "/admin/billing/unpriced/"


@pytest.fixture
def other_account(db: None, now: datetime) -> Account:
    account = accounts.build(external_id="other", at=now, timezone="America/New_York", anchor_day=15)
    account.save(force_insert=True)
    return account


@pytest.fixture
def sample_calls(account: Account, other_account: Account, now: datetime) -> None:
    """Unpriced: three gpt-99 calls of two accounts, a clip, a call without a model. Priced: a stated cost, a gpt-4o call."""
    record(
        account,
        now,
        {"event_id": "a", "model": " GPT-99 ", "usage": {"input_tokens": 100}, "occurred_at": "2026-10-02T23:30:00Z"},
        {"event_id": "b", "model": "gpt-99", "usage": {"input_tokens": 10}, "occurred_at": "2026-11-20T01:00:00Z"},
        {"event_id": "c", "model": "gpt-99", "cost_usd": "1", "usage": {"input_tokens": 1}},
        {"event_id": "d", "model": "gpt-4o", "usage": {"input_tokens": 1000}},
        {"event_id": "e", "provider": "video", "endpoint": "/video-generation/wavespeed"},
    )
    clip = {"provider": "video", "model": "new/clip-1", "endpoint": "/video-generation/wavespeed"}
    record(
        other_account,
        now,
        {"event_id": "f", "model": "gpt-99", "usage": {"output_tokens": 7}, "occurred_at": "2026-09-15T03:00:00Z"},
        {"event_id": "g", **clip, "usage": {"seconds": "4"}, "category": "video"},
    )


def listed_models(client: Client, **query: str) -> list[tuple[Any, ...]]:
    rows = client.get(PAGE_URL, query).context["rows"]
    return [
        (row.totals.model, row.totals.provider, row.totals.unpriced, row.totals.calls, row.totals.accounts)
        for row in rows
    ]


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_unpriced_models_are_listed_with_their_figures_most_calls_first(
    admin_client: Client, sample_calls: None
) -> None:
    assert listed_models(admin_client) == [
        ("gpt-99", "openai", 3, 4, 2),
        ("", "wavespeed", 1, 1, 1),
        ("new/clip-1", "wavespeed", 1, 1, 1),
    ]
    (first, *_) = admin_client.get(PAGE_URL).context["rows"]
    assert (first.label, first.totals.tokens) == ("OpenAI", 118)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_first_and_last_times_are_of_the_unpriced_calls_in_utc(admin_client: Client, sample_calls: None) -> None:
    rows = {row.totals.model: row for row in admin_client.get(PAGE_URL).context["rows"]}

    assert (rows["gpt-99"].first, rows["gpt-99"].last) == ("2026-09-15 03:00", "2026-11-20 01:00")
    assert rows["new/clip-1"].first == rows["new/clip-1"].last == "2026-11-22 12:00"


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_times_include_periods_before_a_change_of_time_zone(account: Account, now: datetime) -> None:
    anchor_changes.change(account, anchor_day=1, timezone="Asia/Tokyo", at=datetime(2026, 8, 1, tzinfo=UTC))
    called_at = datetime(2026, 10, 31, 16, tzinfo=UTC)  # the first of November in Tokyo
    record(account, now, {"model": "gpt-99", "usage": {"input_tokens": 1}, "occurred_at": called_at.isoformat()})
    anchor_changes.change(account, anchor_day=1, timezone="America/Los_Angeles", at=now)

    (row,) = unpriced.list_models()
    assert unpriced.call_times([row]) == {("openai", "gpt-99"): unpriced.CallTimes(called_at, called_at)}


def test_only_months_are_shown_if_too_many_logs_would_be_read(
    admin_client: Client, sample_calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpriced, "MAX_LOGS", 1)
    rows = {row.totals.model: row for row in admin_client.get(PAGE_URL).context["rows"]}
    assert (rows["gpt-99"].first, rows["gpt-99"].last) == ("2026-08", "2026-11")

    monkeypatch.setattr(unpriced, "MAX_LOGS", 50_000)
    monkeypatch.setattr(unpriced, "MAX_ACCOUNT_PERIODS", 1)
    rows = {row.totals.model: row for row in admin_client.get(PAGE_URL).context["rows"]}
    assert rows["gpt-99"].first == "2026-08"


def test_a_voided_call_does_not_count_for_the_times(account: Account, now: datetime) -> None:
    first, _ = record(account, now, {"event_id": "x", "model": "m"}, {"event_id": "y", "model": "m"})
    UsageLog.objects.filter(pk=first.pk).update(voided_at=now, timestamp=now - timedelta(days=2))

    (row,) = unpriced.list_models()
    assert unpriced.call_times([row])[row.key] == unpriced.CallTimes(now, now)


@pytest.mark.parametrize(
    ("query", "models"),
    [
        ({"provider": "openai"}, ["gpt-99"]),
        ({"q": "CLIP"}, ["new/clip-1"]),
        ({"provider": "openai", "q": "clip"}, []),
        ({"provider": "nobody"}, []),
        ({"page": "99", "provider": "openai"}, ["gpt-99"]),
        ({"page": "x", "q": "%"}, []),
        ({"provider": "open\0ai", "q": "\0"}, ["gpt-99"]),
    ],
)
def test_the_list_is_filtered_by_provider_and_by_part_of_the_model_name(
    admin_client: Client, sample_calls: None, query: dict[str, str], models: list[str]
) -> None:
    assert [model for model, *_ in listed_models(admin_client, **query)] == models


def test_the_list_takes_a_fixed_number_of_queries(
    admin_client: Client, sample_calls: None, django_assert_num_queries: Any
) -> None:
    admin_client.get(PAGE_URL)
    # Session, user, version of the labels, models, their periods, the calls in these, times, providers for the filter.
    with django_assert_num_queries(8):
        admin_client.get(PAGE_URL)


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=100)])
@pytest.mark.frozen_at("2026-11-22T12:00")
def test_show_logs_links_to_the_newest_of_the_unpriced_calls(
    admin_client: Client, sample_calls: None, clock: Clock, now: datetime, later: timedelta
) -> None:
    clock.move_to(now + later)
    admin_client.force_login(User.objects.get(username="admin"))
    event_ids = {
        row.totals.key: [log.event_id for log in admin_client.get(row.logs_url).context["cl"].result_list]
        for row in admin_client.get(PAGE_URL).context["rows"]
    }
    assert event_ids == {("openai", "gpt-99"): ["b"], ("wavespeed", ""): ["e"], ("wavespeed", "new/clip-1"): ["g"]}


def test_calls_without_a_model_are_listed_with_the_reason(admin_client: Client, sample_calls: None) -> None:
    page = admin_client.get(PAGE_URL, {"provider": "wavespeed"}).content.decode()
    assert "no model" in page
    assert "Cannot be priced without a model." in page
    assert page.count("Add a price</a>") == 1


def test_add_a_price_prefills_the_form_from_the_calls(admin_client: Client, sample_calls: None) -> None:
    response: Any = admin_client.get(f"{PAGE_URL}price/", {"provider": "openai", "model": "gpt-99"})
    url = urlsplit(response.url)
    assert url.path == "/admin/providers/price/add/"
    parameters = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert (parameters["valid_from"], parameters["category"]) == ("2026-09-15", "text")
    assert parameters["units"] == "input_tokens"
    assert parameters["next"] == "/admin/billing/correctionbatch/reprice/?unpriced=on&provider=openai&model=gpt-99"

    page: Any = admin_client.get(response.url).context
    assert page["adminform"].form.initial["provider"] == str(Provider.objects.get(slug="openai").pk)
    assert page["adminform"].form.initial["pattern"] == "gpt-99"
    assert [form.initial.get("unit") for form in page["inline_admin_formset"].formset.forms] == ["input_tokens", None]


def test_calls_without_usage_are_priced_per_request(account: Account, now: datetime) -> None:
    record(account, now, {"model": "m"})
    row = unpriced.get("openai", "m")
    assert row is not None
    assert unpriced.price_requirements(row) == unpriced.PriceRequirements(now.date(), "text", ("requests",))


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_without_call_times_a_price_starts_before_the_first_period(
    account: Account, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(account, now, {"model": "m", "usage": {"seconds": "4"}})
    monkeypatch.setattr(unpriced, "MAX_LOGS", 0)
    row = unpriced.get("openai", "m")
    assert row is not None
    assert unpriced.price_requirements(row) == unpriced.PriceRequirements(
        datetime(2026, 10, 31, tzinfo=UTC).date(), "text", ("seconds",)
    )


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"provider": "openai"},
        {"provider": "wavespeed", "model": ""},
        {"provider": "openai", "model": "gpt-4o"},
        {"provider": "nobody", "model": "gpt-99"},
    ],
)
def test_adding_a_price_without_unpriced_calls_is_404(
    admin_client: Client, sample_calls: None, query: dict[str, str]
) -> None:
    assert admin_client.get(f"{PAGE_URL}price/", query).status_code == 404


def test_an_unknown_provider_is_added_before_a_price(admin_client: Client, account: Account, now: datetime) -> None:
    record(account, now, {"served_by": "newcomer", "model": "m"}, {"model": "m", "endpoint": "https://who.example/v1"})
    rows = {row.totals.provider: row for row in admin_client.get(PAGE_URL).context["rows"]}

    assert rows["newcomer"].provider_url == "/admin/providers/provider/add/?slug=newcomer&name=newcomer"
    assert rows["unknown"].provider_url == "/admin/providers/detectionrule/add/"
    assert {row.price_url for row in rows.values()} == {""}


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_model_without_a_detected_provider_is_listed_under_its_declared_label(
    admin_client: Client, account: Account, now: datetime
) -> None:
    (log,) = record(account, now, {"provider": "OpenAI", "model": "m", "endpoint": "https://who.example/v1"})
    UsageLog.objects.filter(pk=log.pk).update(actual_provider_name=None)
    call_command("rebuild_rollups", stdout=StringIO())
    (row,) = admin_client.get(PAGE_URL).context["rows"]

    assert (row.totals.provider, row.first) == ("openai", "2026-11-22 12:00")


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_the_export_has_every_filtered_row(admin_client: Client, sample_calls: None) -> None:
    response: Any = admin_client.get(f"{PAGE_URL}export/", {"provider": "openai"})
    rows = list(csv.reader(b"".join(response.streaming_content).decode().splitlines()))
    assert rows == [
        ["provider", "model", "unpriced_calls", "calls", "tokens", "accounts", "first_period", "last_period"],
        ["openai", "gpt-99", "3", "4", "118", "2", "2026-08-15", "2026-11-01"],
    ]


def test_an_empty_list_says_that_every_call_has_a_price(admin_client: Client) -> None:
    assert "Every call has a price." in admin_client.get(PAGE_URL).content.decode()
    assert "No unpriced models match." in admin_client.get(PAGE_URL, {"q": "x"}).content.decode()


def test_the_overview_links_to_the_list_only_if_it_has_rows(admin_client: Client, account: Account) -> None:
    link = f'<a href="{PAGE_URL}">Unpriced models</a></header>'
    assert link not in admin_client.get("/admin/").content.decode()
    record(account, datetime.now(UTC), {"model": "m"})
    assert link in admin_client.get("/admin/").content.decode()


def test_a_viewer_sees_the_list_but_cannot_add_a_price(client: Client, sample_calls: None) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)

    page = client.get(PAGE_URL).content.decode()
    assert "gpt-99" in page
    assert "Add a price" not in page.replace("Add a price valid from the day of the first call", "")
    assert client.get(f"{PAGE_URL}price/", {"provider": "openai", "model": "gpt-99"}).status_code == 403


def test_staff_without_permission_to_view_usage_are_refused(client: Client, sample_calls: None) -> None:
    user = User.objects.create_user("new", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_price"))
    client.force_login(user)
    assert client.get(PAGE_URL).status_code == 403
    assert client.get(f"{PAGE_URL}export/").status_code == 403
