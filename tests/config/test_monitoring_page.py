"""The Monitoring page: current health, history, routes, and the requests to examine; and who may see each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.models import Account
from billing.reports import provider_health
from monitoring import filters, health, request_rows
from monitoring.models import ApiRequest
from monitoring.recorder import Recorder
from tests.billing.usage import record
from tests.monitoring.conftest import entry, request_log

__all__ = ["request_log"]
pytestmark = pytest.mark.django_db
PAGE = "/admin/monitoring/"
LOG = "/admin/monitoring/apirequest/"


def _clear_caches() -> None:
    """Clears the measurements that this process has cached."""
    health.measure_cached.cache_clear()
    provider_health.measure_cached.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_measurements() -> Iterator[None]:
    _clear_caches()
    yield
    _clear_caches()


@pytest.fixture
def at(request_log: Recorder) -> datetime:
    """Logs 20 requests of two routes, three of them failed. Returns their time."""
    at = timezone.now()
    for number in range(20):
        route, status = ("/a/", (404, 503)[number % 2]) if number < 3 else ("/b/", 200)
        request_log.add(entry(at=at, route=route, status=status, duration_us=30_000 + number))
    request_log.flush()
    request_rows.store_drops(7, at)
    return at


def get_page(client: Client, **query: str) -> str:
    response = client.get(PAGE, query)
    assert response.status_code == 200
    return response.content.decode()


def test_health_shows_4xx_and_5xx_separately_routes_and_drops(viewer: Client, at: datetime) -> None:
    page = get_page(viewer)
    assert '<span class="badge critical">Critical</span>' in page
    for name, value in (
        ("Error rate", "15.0 %"),
        ("4xx (client errors)", "2"),
        ("5xx (server errors)", "1"),
        ("p95", "49 ms"),
        ("Not logged", "7"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert '<li class="chip">/b/: 17</li><li class="chip">/a/: 3</li>' in page
    assert '<li class="chip">/a/: 3 of 3, 100.0 %</li>' in page


def test_the_live_fragment_is_served_alone(viewer: Client, at: datetime) -> None:
    fragment = viewer.get("/admin/monitoring/now/").content.decode()
    assert '<span class="badge critical">Critical</span>' in fragment
    assert "<html" not in fragment


def test_every_hour_has_a_row_with_a_link_and_the_numbers_of_the_charts(viewer: Client, at: datetime) -> None:
    page, hour = get_page(viewer), at.replace(minute=0, second=0, microsecond=0)
    for cell in ('data-requests="20"', 'data-rate="15.0" data-series="2"'):
        assert page.count(cell) == 1
    p95 = health.latest().p95_ms
    assert page.count(f'data-p95="{p95}">49 ms</td>') == 1
    for cell in ('data-requests="0"', 'data-rate="" data-series="0"', 'data-p95=""'):
        assert page.count(cell) == 24  # no value is no bar
    charts = re.findall(r'<figure class="stacked" data-chart="(\w+)" data-table="history" data-unit="(.*?)"', page)
    assert charts == [("rate", "%"), ("requests", "per hour"), ("p95", "ms")]
    assert page.count('<th scope="row" class="when" data-label="Hour (UTC)">') == 25
    range_name = filters.format_range(hour, hour + timedelta(hours=1))
    assert f'<a href="{LOG}?time={range_name}">{hour:%b %d %H:%M}</a>' in page


def test_the_history_covers_24_hours_unless_30_days_are_chosen(viewer: Client, at: datetime) -> None:
    assert get_page(viewer, span="30d").count('data-label="Day (UTC)">') == 31
    assert get_page(viewer, span="junk").count('data-label="Hour (UTC)">') == 25


def test_routes_link_to_their_requests_and_errors(viewer: Client, at: datetime) -> None:
    page = get_page(viewer)
    assert f'<a href="{LOG}?time=24h&amp;route=%2Fb%2F">/b/</a>' in page
    assert f'<a href="{LOG}?time=24h&amp;status=errors&amp;route=%2Fa%2F">3</a>' in page
    assert '<td class="num" data-label="Share">85.0 %</td>' in page


def test_the_newest_errors_and_the_slowest_requests_link_to_their_rows(viewer: Client, at: datetime) -> None:
    page = get_page(viewer)
    failed = ApiRequest.objects.filter(status__gte=400)
    slowest = ApiRequest.objects.get(duration_us=30_019)
    for row in (*failed, slowest):
        assert f'href="{LOG}{row.pk}/change/"' in page
    assert "of the latest 20, since" in page


def test_the_last_error_of_a_provider_is_shown_escaped(viewer: Client, account: Account) -> None:
    now = timezone.now()
    record(account, now, {"status_code": 503, "error_message": "<b>down</b>", "response_time_ms": 800})
    page = " ".join(get_page(viewer).split())
    assert '<th scope="row" data-label="Provider">OpenAI</th>' in page
    assert f'{now:%H:%M} 503 <span class="declared">&lt;b&gt;down&lt;/b&gt;</span>' in page


def test_without_a_measurement_nothing_is_healthy(viewer: Client) -> None:
    page = get_page(viewer)
    assert "Healthy" not in page
    assert "Health could not be measured" in page
    assert "No requests in this time range." in page
    assert "No failed requests in the last 24 hours." in page


def test_the_number_of_queries_is_fixed(
    viewer: Client, request_log: Recorder, at: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    get_page(viewer)
    for number in range(40):
        request_log.add(entry(at=at - timedelta(minutes=number), route=f"/{number}/", status=500))
    request_log.flush()
    _clear_caches()
    with django_assert_num_queries(13):  # session and permissions 4, health 1, providers 2, history 2, requests 4
        get_page(viewer)


def test_providers_need_the_permission_to_view_usage(client: Client) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_apirequest"))
    client.force_login(user)
    assert "Provider health" not in get_page(client)


@pytest.mark.parametrize("path", [PAGE, "/admin/monitoring/now/", "/admin/service/"])
def test_the_pages_need_the_permission_to_view_the_log(client: Client, path: str) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(path).status_code == 403


def test_the_sidebar_marks_the_page_but_not_on_the_log(viewer: Client) -> None:
    current = '<a href="/admin/monitoring/" aria-current="page">Monitoring</a>'
    assert current in get_page(viewer)
    assert current not in viewer.get(LOG).content.decode()
