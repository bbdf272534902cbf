"""The operators' usage logs, page after page: by key, without counting a table, and never through all of it for a filter."""

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
# Session, user, labels' version (list and filter), providers in use, rows; a full first page counts, to a bound.
SHORT, FULL = 6, 8 if POSTGRESQL else 7
DEEP = 6


@pytest.fixture
def seven(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """e6 is the newest; e2 to e4 were made in the same moment. A page holds three."""
    monkeypatch.setattr(UsageLogAdmin, "list_per_page", 3)
    at = timezone.now() - timedelta(hours=1)
    minutes = (0, 1, 2, 2, 2, 3, 4)
    record(account, at, *({"occurred_at": (at + timedelta(minutes=minute - 10)).isoformat()} for minute in minutes))


def shown(page: Any) -> list[str]:
    return [log.event_id for log in page.context["cl"].result_list]


def follow(client: Client, page: Any, word: str) -> Any:
    """The page behind the link with this word."""
    (query,) = re.findall(rf'<a class="button" href="([^"]+)"[^>]*>{word}</a>', page.content.decode())
    return client.get(LOGS + query.replace("&amp;", "&"))


def told(page: Any) -> str:
    """The line below the list, without its links."""
    (line,) = re.findall(r'class="paginator".*?>(.*?)</(?:nav|p)>', page.content.decode(), re.DOTALL)
    return " ".join(re.sub(r"<a.*?</a>", "", line).split())


def test_older_and_newer_show_every_log_once_in_order(admin_client: Client, seven: None) -> None:
    expected = list(UsageLog.objects.order_by("-timestamp", "id").values_list("event_id", flat=True))
    first = admin_client.get(LOGS)
    second = follow(admin_client, first, "Older")
    third = follow(admin_client, second, "Older")

    assert shown(first) + shown(second) + shown(third) == expected
    assert ">Older<" not in third.content.decode()
    assert ">Newer<" not in first.content.decode()
    assert shown(follow(admin_client, third, "Newer")) == shown(second)
    assert shown(follow(admin_client, third, "Newest")) == shown(first)


def test_what_is_newer_and_fills_no_page_is_the_first_page(admin_client: Client, seven: None) -> None:
    second = follow(admin_client, admin_client.get(LOGS), "Older")
    back = follow(admin_client, second, "Newer")

    assert shown(back) == shown(admin_client.get(LOGS))
    assert ">Newest<" not in back.content.decode()


def test_pages_keep_the_filters_and_a_filter_begins_at_the_newest(admin_client: Client, seven: None) -> None:
    second = follow(admin_client, admin_client.get(LOGS, {"account": "acct_42", "days": "7"}), "Older")

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


@pytest.mark.parametrize("place", ["2", "junk", "-", "20261131T000000.000000_x", "\0"])
def test_an_address_that_is_no_place_in_the_list_is_its_beginning(
    admin_client: Client, seven: None, place: str
) -> None:
    assert shown(admin_client.get(LOGS, {"p": place})) == shown(admin_client.get(LOGS))


def test_the_list_takes_a_fixed_number_of_queries_and_counts_no_table(
    admin_client: Client, seven: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    deep = f"{LOGS}?p={admin_client.get(LOGS).context['cl'].older_url.partition('p=')[2]}"
    with django_assert_num_queries(FULL) as queries:
        admin_client.get(LOGS)
    counts = [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]]
    assert [" LIMIT 10001)" in sql for sql in counts] == [True]
    with django_assert_num_queries(DEEP) as queries:
        admin_client.get(deep)
    with django_assert_num_queries(SHORT):
        admin_client.get(LOGS, {"status": "failed"})
    assert [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]] == []


def test_a_list_that_ends_says_how_many_and_a_longer_one_as_many_as_were_counted(
    admin_client: Client, seven: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(admin_client.get(LOGS, {"status": "failed"})) == "0 usage logs"
    assert told(admin_client.get(LOGS)) == "7 usage logs"
    monkeypatch.setattr(changelist, "MOST", 5)
    assert told(admin_client.get(LOGS)) == "5+ usage logs"


@pytest.mark.parametrize(("rows", "said"), [(12_345, "about 12,345"), (10_040_000, "about 10.0 million")])
@pytest.mark.skipif(not POSTGRESQL, reason="the others keep no estimate")
def test_postgresql_says_about_how_many_there_are_in_all(
    admin_client: Client, seven: None, rows: int, said: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_class SET reltuples = %s WHERE relname = 'api_usage_logs'", [rows])

    assert told(admin_client.get(LOGS)) == f"7 usage logs found, {said} in all"


@pytest.fixture
def old(account: Account) -> None:
    """A failed call of last year, and one of today."""
    now = timezone.now()
    for event_id, at in (("old", now - timedelta(days=300)), ("new", now - timedelta(hours=1))):
        record(account, now, {"event_id": event_id, "occurred_at": at.isoformat(), "status_code": 500})


@pytest.mark.parametrize(
    ("query", "found"),
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
def test_across_all_accounts_a_filter_looks_through_a_month_at_most(
    admin_client: Client, old: None, query: dict[str, str], found: list[str]
) -> None:
    assert shown(admin_client.get(LOGS, query)) == found


def test_a_month_of_the_last_year_can_be_chosen_instead(admin_client: Client, old: None) -> None:
    at = UsageLog.objects.get(event_id="old").timestamp
    page = admin_client.get(LOGS, {"status": "failed", "days": f"{at:%Y-%m}"})

    assert shown(page) == ["old"]
    assert f"{at:%B %Y}" in page.content.decode()
    offered = dict(admin_client.get(LOGS, {"status": "failed"}).context["cl"].filter_specs[0].lookup_choices)
    assert len(offered) == 3 + 12
    assert offered[f"{datetime.now(at.tzinfo):%Y-%m}"] == f"{datetime.now(at.tzinfo):%B %Y}"


def test_the_export_holds_every_page_and_counts_nothing(admin_client: Client, seven: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer: Any = admin_client.get(f"{LOGS}export/")

        assert len(b"".join(answer.streaming_content).splitlines()) == 1 + 7
    assert [query["sql"] for query in queries if "COUNT(" in query["sql"]] == []
