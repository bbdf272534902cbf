"""Paging of the usage logs in the admin: by key, with a bounded count, and filters that never search the whole table."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.admin.logs import UsageLogAdmin
from billing.models import Account, UsageLog
from lib import changelist
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
LOGS = "/admin/billing/usagelog/"
POSTGRESQL = connection.vendor == "postgresql"
# Session, user, version of the rules (list and filter), providers in use, rows; a full first page adds a bounded count.
SHORT_PAGE_QUERIES, FULL_PAGE_QUERIES = 6, 8 if POSTGRESQL else 7
LATER_PAGE_QUERIES = 6


@pytest.fixture
def seven_logs(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven logs, three a page. e6 is the newest; e2 to e4 have the same time."""
    monkeypatch.setattr(UsageLogAdmin, "list_per_page", 3)
    at = timezone.now() - timedelta(hours=1)
    minutes = (0, 1, 2, 2, 2, 3, 4)
    record(account, at, *({"occurred_at": (at + timedelta(minutes=minute - 10)).isoformat()} for minute in minutes))


def event_ids(page: Any) -> list[str]:
    return [log.event_id for log in page.context["cl"].result_list]


def follow_link(client: Client, page: Any, label: str) -> Any:
    """The page that the link with this label opens."""
    (query,) = re.findall(rf'<a class="button" href="([^"]+)"[^>]*>{label}</a>', page.content.decode())
    return client.get(LOGS + query.replace("&amp;", "&"))


def count_text(page: Any) -> str:
    """The text below the list, without its links."""
    (text,) = re.findall(r'class="paginator".*?>(.*?)</(?:nav|p)>', page.content.decode(), re.DOTALL)
    return " ".join(re.sub(r"<a.*?</a>", "", text).split())


def test_older_and_newer_show_every_log_once_in_order(admin_client: Client, seven_logs: None) -> None:
    expected = list(UsageLog.objects.order_by("-timestamp", "id").values_list("event_id", flat=True))
    first = admin_client.get(LOGS)
    second = follow_link(admin_client, first, "Older")
    third = follow_link(admin_client, second, "Older")

    assert event_ids(first) + event_ids(second) + event_ids(third) == expected
    assert ">Older<" not in third.content.decode()
    assert ">Newer<" not in first.content.decode()
    assert event_ids(follow_link(admin_client, third, "Newer")) == event_ids(second)
    assert event_ids(follow_link(admin_client, third, "Newest")) == event_ids(first)


def test_newer_leads_to_the_first_page_when_few_logs_are_newer(admin_client: Client, seven_logs: None) -> None:
    second = follow_link(admin_client, admin_client.get(LOGS), "Older")
    newer = follow_link(admin_client, second, "Newer")

    assert event_ids(newer) == event_ids(admin_client.get(LOGS))
    assert ">Newest<" not in newer.content.decode()


def test_page_links_keep_the_filters_and_a_filter_restarts_at_the_newest(
    admin_client: Client, seven_logs: None
) -> None:
    second = follow_link(admin_client, admin_client.get(LOGS, {"account": "acct_42", "days": "7"}), "Older")

    assert second.wsgi_request.GET.keys() == {"account", "days", "p"}
    assert [
        choice["query_string"] for choice in second.context["cl"].filter_specs[0].choices(second.context["cl"])
    ] == [
        "?account=acct_42&days=1",
        "?account=acct_42&days=7",
        "?account=acct_42&days=31",
        "?account=acct_42&days=366",
        "?account=acct_42&days=all",
    ]


@pytest.mark.parametrize("position", ["2", "junk", "-", "20261131T000000.000000_x", "\0"])
def test_an_invalid_position_shows_the_first_page(admin_client: Client, seven_logs: None, position: str) -> None:
    assert event_ids(admin_client.get(LOGS, {"p": position})) == event_ids(admin_client.get(LOGS))


def test_the_list_takes_a_fixed_number_of_queries_with_a_bounded_count(
    admin_client: Client, seven_logs: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    later_page = f"{LOGS}?p={admin_client.get(LOGS).context['cl'].older_url.partition('p=')[2]}"
    with django_assert_num_queries(FULL_PAGE_QUERIES) as queries:
        admin_client.get(LOGS)
    counts = [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]]
    assert [" LIMIT 10001)" in sql for sql in counts] == [True]
    with django_assert_num_queries(LATER_PAGE_QUERIES) as queries:
        admin_client.get(later_page)
    with django_assert_num_queries(SHORT_PAGE_QUERIES):
        admin_client.get(LOGS, {"status": "failed"})
    assert [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]] == []


def test_the_number_of_logs_is_exact_up_to_a_bound(
    admin_client: Client, seven_logs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_text(admin_client.get(LOGS, {"status": "failed"})) == "0 usage logs"
    assert count_text(admin_client.get(LOGS)) == "7 usage logs"
    monkeypatch.setattr(changelist, "MAX_COUNTED", 5)
    assert count_text(admin_client.get(LOGS)) == "5+ usage logs"


@pytest.mark.parametrize(("rows", "estimate"), [(12_345, "about 12,345"), (10_040_000, "about 10.0 million")])
@pytest.mark.skipif(not POSTGRESQL, reason="only PostgreSQL keeps an estimate")
def test_postgresql_shows_an_estimated_total(admin_client: Client, seven_logs: None, rows: int, estimate: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_class SET reltuples = %s WHERE relname = 'api_usage_logs'", [rows])

    assert count_text(admin_client.get(LOGS)) == f"7 usage logs found, {estimate} in total"


@pytest.fixture
def old_and_new_logs(account: Account) -> None:
    """A failed call 300 days ago, and another an hour ago."""
    now = timezone.now()
    for event_id, at in (("old", now - timedelta(days=300)), ("new", now - timedelta(hours=1))):
        record(account, now, {"event_id": event_id, "occurred_at": at.isoformat(), "status_code": 500})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"days": "all"}, ["new", "old"]),
        ({"days": "all", "q": " "}, ["new", "old"]),
        ({"days": "all", "status": "failed"}, ["new"]),
        ({"days": "366", "model": ""}, ["new"]),
        ({"days": "all", "q": "old"}, []),
        ({"days": "all", "q": "old", "account": "acct_42"}, ["old"]),
        ({"days": "all", "status": "failed", "account": "acct_42"}, ["new", "old"]),
        ({"days": "all", "status": "failed", "account": ""}, ["new"]),
    ],
)
def test_a_filter_across_all_accounts_searches_at_most_a_month(
    admin_client: Client, old_and_new_logs: None, query: dict[str, str], expected: list[str]
) -> None:
    assert event_ids(admin_client.get(LOGS, query)) == expected


def test_a_month_of_the_last_year_can_be_selected_instead(admin_client: Client, old_and_new_logs: None) -> None:
    at = UsageLog.objects.get(event_id="old").timestamp
    page = admin_client.get(LOGS, {"status": "failed", "days": f"{at:%Y-%m}"})

    assert event_ids(page) == ["old"]
    assert f"{at:%B %Y}" in page.content.decode()
    date_choices = dict(admin_client.get(LOGS, {"status": "failed"}).context["cl"].filter_specs[0].lookup_choices)
    assert len(date_choices) == 3 + 12
    assert date_choices[f"{datetime.now(at.tzinfo):%Y-%m}"] == f"{datetime.now(at.tzinfo):%B %Y}"


def test_the_export_has_every_page_and_runs_no_count(admin_client: Client, seven_logs: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer: Any = admin_client.get(f"{LOGS}export/")

        assert len(b"".join(answer.streaming_content).splitlines()) == 1 + 7
    assert [query["sql"] for query in queries if "COUNT(" in query["sql"]] == []
