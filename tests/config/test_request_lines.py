"""One line of the log a request, with the id that comes in and goes out, and nothing personal."""

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


def told(lines: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """Level and fields of every line but the time, which differs."""
    return [
        (record.levelname, {name: value for name, value in record.__dict__["fields"].items() if name != "ms"})
        for record in lines.records
    ]


@pytest.mark.parametrize("sent", ["a", "0190f5c2-7b1e-7000-8000-000000000001", "Root-1.x:y_z", "x" * 64])
def test_a_well_formed_id_is_taken_over(client: Client, sent: str) -> None:
    assert client.get("/livez", headers={"X-Request-ID": sent})["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\nb", "é", "<script>", "a;b", "\u0661"])
def test_any_other_id_is_replaced(client: Client, sent: str) -> None:
    assert UUID(client.get("/livez", headers={"X-Request-ID": sent})["X-Request-ID"]).version == 7


def test_a_request_is_one_line_without_path_query_address_and_user_agent(
    service: Api, lines: pytest.LogCaptureFixture
) -> None:
    service.client.get(PERSONAL, {"token": "s3cret"}, headers={"user-agent": "Jane's phone"}, REMOTE_ADDR="192.0.2.77")
    route = "/api/v1/accounts/<str:external_id>/"
    assert told(lines) == [("INFO", {"method": "GET", "route": route, "status": 404})]
    for personal in ("jane", "s3cret", "Jane", "192.0.2.77", "tg_"):
        assert personal not in lines.text


def test_an_unknown_address_and_a_wrong_host_are_one_line_each(client: Client, lines: pytest.LogCaptureFixture) -> None:
    client.get("/jane@example.com")
    client.get("/", headers={"host": "evil.example"})
    assert told(lines) == [
        ("INFO", {"method": "GET", "route": "unmatched", "status": 404}),
        ("INFO", {"method": "GET", "route": "unmatched", "status": 400}),
    ]


def test_probes_are_told_only_where_they_break(client: Client, lines: pytest.LogCaptureFixture) -> None:
    client.get("/livez")
    client.get("/readyz")
    assert told(lines) == []


def test_a_fault_is_one_line_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, service: Api
) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("a fault")

    monkeypatch.setattr(access, "find_key", broken)
    monkeypatch.setattr(readiness, "run", broken)
    service.get("usage/summary/")
    service.client.get("/readyz")
    expected = {"method": "GET", "status": 500, "error": "RuntimeError"}
    assert told(lines) == [
        ("ERROR", {**expected, "route": "/api/v1/usage/summary/"}),
        ("ERROR", {**expected, "route": "/readyz"}),
    ]
    assert lines.text.count("RuntimeError: a fault") == 2


def test_a_database_that_is_away_is_one_warning_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, service: Api
) -> None:
    def away(*_: object, **__: object) -> NoReturn:
        raise OperationalError("could not connect to host db.internal")

    monkeypatch.setattr(access, "find_key", away)
    assert service.get("usage/summary/").status_code == 503
    assert told(lines) == [
        (
            "WARNING",
            {"method": "GET", "route": "/api/v1/usage/summary/", "status": 503, "error": "OperationalError"},
        )
    ]
    assert "db.internal" not in lines.text


def test_djangos_own_handlers_do_not_write_a_line_again() -> None:
    assert logging.getLogger("django").handlers == []
    assert logging.getLogger("django.request").level == logging.CRITICAL
