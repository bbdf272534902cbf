"""The request log in the admin: newest first, a bounded time range, search by prefix, read-only."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from monitoring import filters, request_log
from monitoring.models import ApiRequest
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db
PAGE = "/admin/monitoring/apirequest/"
STATUSES = (200, 201, 404, 503)


@pytest.fixture(autouse=True)
def start(request_log: Recorder) -> datetime:
    """Logs four requests, one a second. Returns the time of the first."""
    start = timezone.now() - timedelta(minutes=2)
    for number, status in enumerate(STATUSES):
        at = start + timedelta(seconds=number)
        request_log.add(entry(at=at, route=f"/answered/{status}/", status=status, duration_us=12_345))
    request_log.flush()
    return start


def listed_statuses(client: Client, **query: str) -> list[int]:
    response = client.get(PAGE, query)
    assert response.status_code == 200
    return [row.status for row in response.context["cl"].result_list]


def test_requests_are_newest_first_with_their_duration_in_ms(viewer: Client) -> None:
    assert listed_statuses(viewer) == [503, 404, 201, 200]
    assert "12.3 ms" in viewer.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ({"status": "4"}, [404]),
        ({"status": "2"}, [201, 200]),
        ({"status": "errors"}, [503, 404]),
        ({"status": "404"}, [404]),
        ({"status": "junk"}, [503, 404, 201, 200]),
        ({"status": "٤٠٤"}, [503, 404, 201, 200]),
        ({"poll__exact": "1"}, []),
        ({"route": "/answered/404/"}, [404]),
        ({"route": "/answered/"}, []),
        ({"route": "\0"}, [503, 404, 201, 200]),
        ({"q": "/answered/2"}, [201, 200]),
        ({"q": "answered"}, []),
        ({"q": "\0"}, [503, 404, 201, 200]),
        ({"q": "192.0.2.1"}, [503, 404, 201, 200]),
        ({"q": "192.0.2"}, []),
    ],
)
def test_requests_are_filtered_by_status_route_and_poll_and_searched_by_prefix(
    viewer: Client, query: dict[str, str], statuses: list[int]
) -> None:
    assert listed_statuses(viewer, **query) == statuses


def test_the_filter_errors_follows_the_setting(viewer: Client, settings: Settings) -> None:
    settings.HEALTH_ERROR_FROM = 500
    assert listed_statuses(viewer, status="errors") == [503]


@pytest.mark.parametrize(
    ("age", "minutes"),
    [
        ("15m", 15),
        ("1h", 60),
        ("24h", 1440),
        ("7d", 10_080),
        ("30d", 43_200),
        ("", 1440),
        ("junk", 1440),
        ("all", 1440),
    ],
)
def test_the_time_range_is_always_bounded(viewer: Client, age: str, minutes: int) -> None:
    ApiRequest.objects.update(at=timezone.now() - timedelta(minutes=minutes) + timedelta(seconds=30))
    assert len(listed_statuses(viewer, time=age)) == 4
    ApiRequest.objects.update(at=timezone.now() - timedelta(minutes=minutes, seconds=1))
    assert listed_statuses(viewer, time=age) == []


def test_a_link_may_name_any_time_range_to_the_minute(viewer: Client) -> None:
    nine = datetime(2026, 3, 1, 9, tzinfo=UTC)
    for status, minutes in zip(STATUSES, (-1, 0, 59, 60), strict=True):
        ApiRequest.objects.filter(status=status).update(at=nine + timedelta(minutes=minutes))
    range_name = filters.format_range(nine, nine + timedelta(hours=1))
    assert range_name == "20260301T0900-20260301T1000"
    assert listed_statuses(viewer, time=range_name) == [404, 201]
    assert "Mar 01 09:00 to Mar 01 10:00 UTC" in viewer.get(PAGE, {"time": range_name}).content.decode()


@pytest.mark.parametrize(
    ("account", "statuses"), [("7", [404]), ("8", []), ("junk", []), ("²", []), ("9" * 30, []), ("-7", [])]
)
def test_requests_are_filtered_by_account_and_link_to_it(viewer: Client, account: str, statuses: list[int]) -> None:
    ApiRequest.objects.filter(status=404).update(account_id=7)
    assert listed_statuses(viewer, account=account) == statuses
    assert '<a href="/admin/billing/account/7/change/">7</a>' in viewer.get(PAGE).content.decode()


def test_a_row_is_shown_and_cannot_be_added_changed_or_deleted(admin_client: Client) -> None:
    row = ApiRequest.objects.get(status=503)
    page = admin_client.get(f"{PAGE}{row.pk}/change/")
    assert page.status_code == 200
    assert "/answered/503/" in page.content.decode()
    assert admin_client.get(f"{PAGE}add/").status_code == 403
    assert admin_client.post(f"{PAGE}{row.pk}/change/", {"status": 200}).status_code == 403
    assert admin_client.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin_client.get(PAGE).content.decode()
    assert sorted(ApiRequest.objects.values_list("status", flat=True)) == [200, 201, 404, 503]


def test_the_number_of_queries_is_fixed(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    viewer.get(PAGE)
    with django_assert_num_queries(5):  # session, user, two for permissions, rows
        viewer.get(PAGE)


def export(client: Client, **query: str) -> list[dict[str, str]]:
    response: Any = client.get(f"{PAGE}export/", query)
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(StringIO(response.getvalue().decode())))


def test_the_export_has_the_filtered_requests(viewer: Client) -> None:
    page = viewer.get(PAGE, {"status": "errors"}).content.decode()
    assert f'<a href="{PAGE}export/?{urlencode({"status": "errors"})}">Export CSV</a>' in page
    rows = export(viewer, status="errors")
    assert [row["status"] for row in rows] == ["503", "404"]
    assert rows[1] | {"id": "", "at": ""} == {
        "id": "",
        "at": "",
        "method": "POST",
        "route": "/answered/404/",
        "status": "404",
        "duration_us": "12345",
        "request_bytes": "12",
        "response_bytes": "34",
        "account_id": "",
        "key_id": "",
        "client_address": "192.0.2.1",
        "user_agent": "",
        "poll": "False",
    }


def test_formulas_are_escaped_in_the_export(viewer: Client, request_log: Recorder) -> None:
    request_log.add(entry(at=timezone.now(), user_agent='=HYPERLINK("http://evil")', method="+GET"))
    request_log.flush()
    row = export(viewer)[0]
    assert (row["user_agent"], row["method"]) == ('\'=HYPERLINK("http://evil")', "'+GET")


def test_the_export_streams_all_pages(viewer: Client, start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiRequest.objects.update(at=start)  # equal times, so that the order is by id
    for size in (1, 2, 3, 4, 5):
        monkeypatch.setattr(request_log, "STREAM_PAGE_SIZE", size)
        assert sorted(row["status"] for row in export(viewer)) == ["200", "201", "404", "503"]


def test_the_export_needs_the_permission_to_view_the_log(client: Client) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(f"{PAGE}export/").status_code == 403
