"""Log lines: one per request, without personal data; and the request id that is taken from the client or created."""

from __future__ import annotations

import logging
from typing import NoReturn
from uuid import UUID

import pytest
from django.db import OperationalError
from django.test import Client

from billing.accounts import access
from lib import readiness
from tests.conftest import Api

pytestmark = pytest.mark.django_db

PERSONAL = "/api/v1/accounts/jane@example.com/"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def levels_and_fields(lines: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """Level and fields of every line, without the duration."""
    return [
        (record.levelname, {name: value for name, value in record.__dict__["fields"].items() if name != "ms"})
        for record in lines.records
    ]


@pytest.mark.parametrize("request_id", ["a", "0190f5c2-7b1e-7000-8000-000000000001", "Root-1.x:y_z", "x" * 64])
def test_a_well_formed_request_id_is_kept(client: Client, request_id: str) -> None:
    assert client.get("/livez", headers={"X-Request-ID": request_id})["X-Request-ID"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "a\nb", "é", "<script>", "a;b", "\u0661"])
def test_any_other_request_id_is_replaced(client: Client, request_id: str) -> None:
    assert UUID(client.get("/livez", headers={"X-Request-ID": request_id})["X-Request-ID"]).version == 7


def test_a_request_is_one_line_without_path_query_address_or_user_agent(
    service: Api, lines: pytest.LogCaptureFixture
) -> None:
    service.client.get(PERSONAL, {"token": "s3cret"}, headers={"user-agent": "Jane's phone"}, REMOTE_ADDR="192.0.2.77")
    route = "/api/v1/accounts/<str:external_id>/"
    assert levels_and_fields(lines) == [("INFO", {"method": "GET", "route": route, "status": 422})]
    for personal in ("jane", "s3cret", "Jane", "192.0.2.77", "tg_"):
        assert personal not in lines.text


def test_an_unknown_path_and_a_wrong_host_are_one_line_each(client: Client, lines: pytest.LogCaptureFixture) -> None:
    client.get("/jane@example.com")
    client.get("/", headers={"host": "evil.example"})
    assert levels_and_fields(lines) == [
        ("INFO", {"method": "GET", "route": "unmatched", "status": 404}),
        ("INFO", {"method": "GET", "route": "unmatched", "status": 400}),
    ]


def test_probes_are_logged_only_if_they_fail(client: Client, lines: pytest.LogCaptureFixture) -> None:
    client.get("/livez")
    client.get("/readyz")
    assert levels_and_fields(lines) == []


def test_an_exception_is_one_line_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, service: Api
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("a fault")

    monkeypatch.setattr(access, "find_key", fail)
    monkeypatch.setattr(readiness, "run_checks", fail)
    service.get("usage/summary/")
    service.client.get("/readyz")
    expected = {"method": "GET", "status": 500, "error": "RuntimeError"}
    assert levels_and_fields(lines) == [
        ("ERROR", {**expected, "route": "/api/v1/usage/summary/"}),
        ("ERROR", {**expected, "route": "/readyz"}),
    ]
    assert lines.text.count("RuntimeError: a fault") == 2


def test_an_unavailable_database_is_one_warning_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, service: Api
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OperationalError("could not connect to host db.internal")

    monkeypatch.setattr(access, "find_key", fail)
    assert service.get("usage/summary/").status_code == 503
    assert levels_and_fields(lines) == [
        (
            "WARNING",
            {"method": "GET", "route": "/api/v1/usage/summary/", "status": 503, "error": "OperationalError"},
        )
    ]
    assert "db.internal" not in lines.text


def test_djangos_own_handlers_write_no_second_line() -> None:
    assert logging.getLogger("django").handlers == []
    assert logging.getLogger("django.request").level == logging.CRITICAL
