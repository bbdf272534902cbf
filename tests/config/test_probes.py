"""`/livez` touches nothing; `/readyz` tells what is wrong, and refuses requests when that is critical."""

from typing import NoReturn

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from monitoring import readiness, recorder

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.monitoring.urls")]


def found(client: Client, name: str) -> tuple[int, str, dict[str, str]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["status"], response.json()["checks"][name]


def test_livez_answers_without_the_database(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/livez")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_never_cached_and_take_only_reads(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_readyz_is_ok_on_a_migrated_database(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    checks = response.json()["checks"]
    assert checks["database"] == {"status": "ok", "detail": "answers"}
    assert checks["migrations"] == {"status": "ok", "detail": "all applied"}
    assert checks["request_log"] == {"status": "ok", "detail": "no requests dropped"}


def test_a_migration_that_is_not_applied_is_critical(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("monitoring", dict(readiness._shipped())["monitoring"])
    assert found(client, "migrations") == (503, "critical", {"status": "critical", "detail": "1 not applied"})


def test_a_database_that_is_away_is_critical_and_its_message_is_kept_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> NoReturn:
        raise OperationalError("could not connect to host db.internal")

    monkeypatch.setattr(connection, "cursor", away)
    detail = {"status": "critical", "detail": "could not be checked: OperationalError"}
    assert found(client, "database") == (503, "critical", detail)


def test_dropped_requests_are_a_warning_and_stay_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder._recorder, "_dropped", 3)
    detail = {"status": "warning", "detail": "3 requests dropped since this process started"}
    assert found(client, "request_log") == (200, "warning", detail)
