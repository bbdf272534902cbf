"""The operators' list of models without a price: its figures, times and links, and the way to a price."""

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
PAGE = "/admin/billing/unpriced/"


@pytest.fixture
def other(db: None, now: datetime) -> Account:
    account = accounts.new(external_id="other", at=now, timezone="America/New_York", anchor_day=15)
    account.save(force_insert=True)
    return account


@pytest.fixture
def calls(account: Account, other: Account, now: datetime) -> None:
    """gpt-99 at OpenAI: three unpriced calls of two accounts, and a stated cost; a clip and a call without a model."""
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
        other,
        now,
        {"event_id": "f", "model": "gpt-99", "usage": {"output_tokens": 7}, "occurred_at": "2026-09-15T03:00:00Z"},
        {"event_id": "g", **clip, "usage": {"seconds": "4"}, "category": "video"},
    )


def told(client: Client, **query: str) -> list[tuple[Any, ...]]:
    lines = client.get(PAGE, query).context["lines"]
    return [(one.row.model, one.row.provider, one.row.unpriced, one.row.calls, one.row.accounts) for one in lines]


def test_models_without_a_price_are_listed_with_their_figures_most_calls_first(
    admin_client: Client, calls: None
) -> None:
    assert told(admin_client) == [
        ("gpt-99", "openai", 3, 4, 2),
        ("", "wavespeed", 1, 1, 1),
        ("new/clip-1", "wavespeed", 1, 1, 1),
    ]
    (first, *_) = admin_client.get(PAGE).context["lines"]
    assert (first.label, first.row.tokens) == ("OpenAI", 118)


def test_first_and_last_seen_are_of_the_unpriced_calls_in_utc(admin_client: Client, calls: None) -> None:
    lines = {one.row.model: one for one in admin_client.get(PAGE).context["lines"]}

    assert (lines["gpt-99"].first, lines["gpt-99"].last) == ("2026-09-15 03:00", "2026-11-20 01:00")
    assert lines["new/clip-1"].first == lines["new/clip-1"].last == "2026-11-22 12:00"


def test_times_are_found_in_periods_from_before_a_change_of_zone(account: Account, now: datetime) -> None:
    anchor_changes.change(account, anchor_day=1, timezone="Asia/Tokyo", at=datetime(2026, 8, 1, tzinfo=UTC))
    called = datetime(2026, 10, 31, 16, tzinfo=UTC)  # the first of November in Tokyo
    record(account, now, {"model": "gpt-99", "usage": {"input_tokens": 1}, "occurred_at": called.isoformat()})
    anchor_changes.change(account, anchor_day=1, timezone="America/Los_Angeles", at=now)

    (row,) = unpriced.rows()
    assert unpriced.seen([row]) == {("openai", "gpt-99"): unpriced.Seen(called, called)}


def test_where_too_many_logs_would_be_read_the_month_has_to_do(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpriced, "MOST_LOGS", 1)
    lines = {one.row.model: one for one in admin_client.get(PAGE).context["lines"]}
    assert (lines["gpt-99"].first, lines["gpt-99"].last) == ("2026-08", "2026-11")

    monkeypatch.setattr(unpriced, "MOST_LOGS", 50_000)
    monkeypatch.setattr(unpriced, "MOST_SPANS", 1)
    lines = {one.row.model: one for one in admin_client.get(PAGE).context["lines"]}
    assert lines["gpt-99"].first == "2026-08"


def test_a_voided_or_priced_call_does_not_count_for_the_times(account: Account, now: datetime) -> None:
    first, _ = record(account, now, {"event_id": "x", "model": "m"}, {"event_id": "y", "model": "m"})
    UsageLog.objects.filter(pk=first.pk).update(voided_at=now, timestamp=now - timedelta(days=2))

    (row,) = unpriced.rows()
    assert unpriced.seen([row])[row.key] == unpriced.Seen(now, now)


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
def test_the_list_is_filtered_by_provider_and_by_a_part_of_the_model(
    admin_client: Client, calls: None, query: dict[str, str], models: list[str]
) -> None:
    assert [model for model, *_ in told(admin_client, **query)] == models


def test_the_list_takes_a_fixed_number_of_queries(
    admin_client: Client, calls: None, django_assert_num_queries: Any
) -> None:
    admin_client.get(PAGE)
    # Session, user, labels' version, models, their periods, calls of these, times, providers of the filter.
    with django_assert_num_queries(8):
        admin_client.get(PAGE)


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=100)])
def test_show_logs_leads_to_the_newest_of_the_calls_that_are_counted(
    admin_client: Client, calls: None, clock: Clock, now: datetime, later: timedelta
) -> None:
    clock.move_to(now + later)
    admin_client.force_login(User.objects.get(username="admin"))
    shown = {
        line.row.key: [log.event_id for log in admin_client.get(line.logs_url).context["cl"].result_list]
        for line in admin_client.get(PAGE).context["lines"]
    }
    assert shown == {("openai", "gpt-99"): ["b"], ("wavespeed", ""): ["e"], ("wavespeed", "new/clip-1"): ["g"]}


def test_a_call_without_a_model_says_why_it_has_no_price(admin_client: Client, calls: None) -> None:
    page = admin_client.get(PAGE, {"provider": "wavespeed"}).content.decode()
    assert "no model stated" in page
    assert "these calls name none" in page
    assert page.count("Add a price</a>") == 1


def test_add_a_price_begins_the_form_with_what_the_calls_used(admin_client: Client, calls: None) -> None:
    answer: Any = admin_client.get(f"{PAGE}price/", {"provider": "openai", "model": "gpt-99"})
    url = urlsplit(answer.url)
    assert url.path == "/admin/providers/price/add/"
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert (asked["valid_from"], asked["category"], asked["units"]) == ("2026-09-15", "text", "input_tokens")
    assert asked["next"] == "/admin/billing/correctionbatch/reprice/?unpriced=on&provider=openai&model=gpt-99"

    page: Any = admin_client.get(answer.url).context
    assert page["adminform"].form.initial["provider"] == str(Provider.objects.get(slug="openai").pk)
    assert page["adminform"].form.initial["pattern"] == "gpt-99"
    assert [form.initial.get("unit") for form in page["inline_admin_formset"].formset.forms] == ["input_tokens", None]


def test_a_call_that_used_nothing_but_itself_is_priced_by_the_request(account: Account, now: datetime) -> None:
    record(account, now, {"model": "m"})
    row = unpriced.one("openai", "m")
    assert row is not None
    assert unpriced.needed(row) == unpriced.Needed(now.date(), "text", ("requests",))


def test_without_the_times_a_price_begins_before_the_first_period(
    account: Account, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(account, now, {"model": "m", "usage": {"seconds": "4"}})
    monkeypatch.setattr(unpriced, "MOST_LOGS", 0)
    row = unpriced.one("openai", "m")
    assert row is not None
    assert unpriced.needed(row) == unpriced.Needed(datetime(2026, 10, 31, tzinfo=UTC).date(), "text", ("seconds",))


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
def test_no_price_is_begun_for_what_has_no_unpriced_calls(
    admin_client: Client, calls: None, query: dict[str, str]
) -> None:
    assert admin_client.get(f"{PAGE}price/", query).status_code == 404


def test_an_unknown_provider_is_named_first(admin_client: Client, account: Account, now: datetime) -> None:
    record(account, now, {"served_by": "newcomer", "model": "m"}, {"model": "m", "endpoint": "https://who.example/v1"})
    lines = {line.row.provider: line for line in admin_client.get(PAGE).context["lines"]}

    assert lines["newcomer"].provider_url == "/admin/providers/provider/add/?slug=newcomer&name=newcomer"
    assert lines["unknown"].provider_url == "/admin/providers/detectionrule/add/"
    assert {line.price_url for line in lines.values()} == {""}


def test_a_model_that_nothing_was_detected_for_stands_under_its_declared_label(
    admin_client: Client, account: Account, now: datetime
) -> None:
    (log,) = record(account, now, {"provider": "OpenAI", "model": "m", "endpoint": "https://who.example/v1"})
    UsageLog.objects.filter(pk=log.pk).update(actual_provider_name=None)
    call_command("rebuild_rollups", stdout=StringIO())
    (line,) = admin_client.get(PAGE).context["lines"]

    assert (line.row.provider, line.first) == ("openai", "2026-11-22 12:00")


def test_the_export_has_every_row_of_the_filter(admin_client: Client, calls: None) -> None:
    answer: Any = admin_client.get(f"{PAGE}export/", {"provider": "openai"})
    lines = list(csv.reader(b"".join(answer.streaming_content).decode().splitlines()))
    assert lines == [
        ["provider", "model", "unpriced_calls", "calls", "tokens", "accounts", "first_period", "last_period"],
        ["openai", "gpt-99", "3", "4", "118", "2", "2026-08-15", "2026-11-01"],
    ]


def test_an_empty_list_says_that_every_call_has_a_price(admin_client: Client) -> None:
    assert "Every call has a price." in admin_client.get(PAGE).content.decode()
    assert "No unpriced calls of such a model." in admin_client.get(PAGE, {"q": "x"}).content.decode()


def test_the_overview_leads_to_the_list_when_there_is_something_in_it(admin_client: Client, account: Account) -> None:
    link = f'<a href="{PAGE}">Unpriced models</a></header>'
    assert link not in admin_client.get("/admin/").content.decode()
    record(account, datetime.now(UTC), {"model": "m"})
    assert link in admin_client.get("/admin/").content.decode()


def test_a_viewer_looks_and_adds_no_price(client: Client, calls: None) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)

    page = client.get(PAGE).content.decode()
    assert "gpt-99" in page
    assert "Add a price" not in page.replace("Add a price from the day of the first call", "")
    assert client.get(f"{PAGE}price/", {"provider": "openai", "model": "gpt-99"}).status_code == 403


def test_staff_without_the_permission_see_nothing(client: Client, calls: None) -> None:
    user = User.objects.create_user("new", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_price"))
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    assert client.get(f"{PAGE}export/").status_code == 403
