"""What the middleware records of a request, and what it does not record."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from monitoring.models import ApiRequest, RequestMinute
from monitoring.recorder import Recorder

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.monitoring.urls")]


def flush_and_get(log: Recorder) -> ApiRequest:
    assert log.flush() is True
    return ApiRequest.objects.get()


def test_a_request_is_recorded_with_route_status_sizes_and_client(request_log: Recorder, client: Client) -> None:
    client.post("/plain/?key=secret", b"12345", content_type="text/plain", headers={"user-agent": "curl/8"})
    row = flush_and_get(request_log)
    assert (row.route, row.method, row.status) == ("/plain/", "POST", 200)
    assert (row.request_bytes, row.response_bytes) == (5, 5)
    assert (row.client_address, row.user_agent) == ("127.0.0.1", "curl/8")
    assert (row.account_id, row.key_id, row.poll) == (None, None, False)
    assert 0 < row.duration_us < 60_000_000


def test_no_column_contains_the_query_string_a_header_or_the_body(request_log: Recorder, client: Client) -> None:
    secret: dict[str, Any] = {
        "headers": {"authorization": "Bearer s3cret", "cookie": "s3cret=1", "referer": "http://x/s3cret"}
    }
    client.post("/things/s3cret/?key=s3cret", b"s3cret", content_type="text/plain", **secret)
    row = flush_and_get(request_log)
    assert "s3cret" not in repr(ApiRequest.objects.values_list().get())
    assert row.route == "/things/<str:name>/"


def test_a_request_makes_no_query_and_is_recorded_at_the_flush(
    request_log: Recorder, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        client.get("/plain/")
    assert not ApiRequest.objects.exists()


def test_the_authenticated_caller_is_recorded(request_log: Recorder, client: Client) -> None:
    client.get("/with-caller/")
    row = flush_and_get(request_log)
    assert (row.account_id, row.key_id) == (7, 11)


def test_an_exception_in_the_view_counts_as_500(request_log: Recorder) -> None:
    Client(raise_request_exception=False).get("/failing/")
    row = flush_and_get(request_log)
    assert (row.route, row.status) == ("/failing/", 500)
    assert RequestMinute.objects.get().errors == 1


def test_an_exception_that_django_propagates_counts_as_500(
    request_log: Recorder, client: Client, settings: Settings
) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with pytest.raises(RuntimeError):
        client.get("/failing/")
    row = flush_and_get(request_log)
    assert (row.route, row.status, row.response_bytes) == ("/failing/", 500, None)


def test_a_404_raised_by_a_view_keeps_its_route(request_log: Recorder, client: Client) -> None:
    client.get("/things/unicorn/")
    row = flush_and_get(request_log)
    assert (row.route, row.status) == ("/things/<str:name>/", 404)


def test_random_paths_share_one_route(request_log: Recorder, client: Client) -> None:
    for path in ("/wp-login.php", "/.env", "/%00", "/a/b/c"):
        client.get(path)
    request_log.flush()
    minutes = RequestMinute.objects.values_list("route", "status_class").distinct()
    assert list(minutes) == [("unmatched", 4)]


def test_a_refused_host_is_recorded(request_log: Recorder, client: Client) -> None:
    client.get("/plain/", headers={"host": "evil.example"})
    row = flush_and_get(request_log)
    assert (row.route, row.status) == ("unmatched", 400)


def test_a_streamed_response_has_no_size(request_log: Recorder, client: Client) -> None:
    client.get("/streamed/")
    assert flush_and_get(request_log).response_bytes is None


@pytest.mark.parametrize("length", ["", "-5", "five", "5.0", "١٢", "9" * 16, "9" * 5000])
def test_an_invalid_length_is_not_recorded(request_log: Recorder, client: Client, length: str) -> None:
    extra: dict[str, Any] = {"CONTENT_LENGTH": length}
    client.get("/plain/", **extra)
    assert flush_and_get(request_log).request_bytes is None


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/static/tollgate/none.css"])
def test_probes_and_static_files_are_not_recorded(request_log: Recorder, client: Client, path: str) -> None:
    client.get(path)
    request_log.flush()
    assert not ApiRequest.objects.exists()
    assert not RequestMinute.objects.exists()


def test_a_poll_of_a_live_card_is_recorded_as_a_poll_and_not_counted(request_log: Recorder, client: Client) -> None:
    client.get("/plain/", headers={"x-tollgate-poll": "1"})
    assert flush_and_get(request_log).poll is True
    assert not RequestMinute.objects.exists()


def test_only_a_get_is_a_poll(request_log: Recorder, client: Client) -> None:
    client.post("/plain/", headers={"x-tollgate-poll": "1"})
    assert flush_and_get(request_log).poll is False
    assert RequestMinute.objects.get().requests == 1


def test_a_forwarded_address_is_used_only_from_a_trusted_proxy(
    request_log: Recorder, client: Client, settings: Settings
) -> None:
    client.get("/plain/", headers={"x-forwarded-for": "198.51.100.9"})
    assert flush_and_get(request_log).client_address == "127.0.0.1"
    ApiRequest.objects.all().delete()
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    client.get("/plain/", headers={"x-forwarded-for": "198.51.100.9"})
    assert flush_and_get(request_log).client_address == "198.51.100.9"


def test_characters_that_a_database_rejects_are_replaced(request_log: Recorder, client: Client) -> None:
    client.get("/plain/", HTTP_USER_AGENT="a\0b\ud800😀" + "x" * 600)
    row = flush_and_get(request_log)
    assert row.user_agent == "ab?😀" + "x" * 495
    assert request_log.dropped == 0


def test_without_the_request_log_nothing_is_recorded(request_log: Recorder, client: Client, settings: Settings) -> None:
    settings.REQUEST_LOG = False
    client.get("/plain/")
    request_log.flush()
    assert not ApiRequest.objects.exists()


def test_the_middleware_is_the_outermost(settings: Settings) -> None:
    assert settings.MIDDLEWARE[0] == "monitoring.middleware.RequestLogMiddleware"


@pytest.mark.urls("config.urls")
@pytest.mark.parametrize("path", ["invitation/s3cret/", "password/reset/Mg/s3cret/"])
def test_a_token_in_a_path_is_not_recorded(request_log: Recorder, client: Client, path: str) -> None:
    client.get(f"/usage/{path}")
    row = flush_and_get(request_log)
    assert row.route.startswith(f"/usage/{path.partition('/')[0]}")
    assert "s3cret" not in repr(ApiRequest.objects.values_list().get())
