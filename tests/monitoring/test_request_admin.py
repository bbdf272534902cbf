"""The request log in the admin: newest first, filtered by ranges, and nothing to change."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from monitoring.models import ApiRequest
from monitoring.recorder import Recorder
from tests.monitoring.conftest import AT, entry

pytestmark = pytest.mark.django_db
PAGE = "/admin/monitoring/apirequest/"


@pytest.fixture(autouse=True)
def _requests(request_log: Recorder) -> None:
    for number, status in enumerate((200, 201, 404, 503)):
        at = AT + timedelta(seconds=number)
        request_log.add(entry(at=at, route=f"/answered/{status}/", status=status, duration_us=12_345))
    request_log.flush()


def shown(client: Client, query: str = "") -> list[int]:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return [row.status for row in response.context["cl"].result_list]


def test_the_newest_come_first_with_their_duration_in_ms(admin_client: Client) -> None:
    assert shown(admin_client) == [503, 404, 201, 200]
    assert "12.3" in admin_client.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("query", "statuses"),
    [("?status=4", [404]), ("?status=2", [201, 200]), ("?status=junk", [503, 404, 201, 200]), ("?poll__exact=1", [])],
)
def test_it_is_filtered_by_status_class_and_poll(admin_client: Client, query: str, statuses: list[int]) -> None:
    assert shown(admin_client, query) == statuses


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


def test_more_rows_take_no_more_queries(
    admin_client: Client, request_log: Recorder, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    admin_client.get(PAGE)
    with django_assert_num_queries(4):  # session, user, count, rows
        admin_client.get(PAGE)
