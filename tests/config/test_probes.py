"""`/livez` uses no database; `/readyz` reports every check, is 503 if one is critical, and never hangs."""

import threading
import time
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from lib import readiness
from lib.readiness import CheckResult

pytestmark = pytest.mark.django_db


def test_livez_answers_without_the_database(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/livez")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_never_cached_and_allow_only_reads(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_readyz_is_200_on_a_migrated_database_before_any_job_has_run(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "warning",
        "checks": {
            "database": {"status": "ok", "detail": "reachable"},
            "migrations": {"status": "ok", "detail": "all applied"},
            "jobs": {"status": "warning", "detail": "no job has ever run"},
            "request_log": {"status": "ok", "detail": "no requests dropped"},
            "ledger": {"status": "warning", "detail": "has not run yet"},
        },
    }


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("warning", 200), ("critical", 503)])
def test_only_a_critical_check_makes_the_process_unready(
    client: Client, monkeypatch: pytest.MonkeyPatch, status: readiness.CheckStatus, code: int
) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("fine", lambda: CheckResult("ok", "fine"))
    readiness.register("it", lambda: CheckResult(status, "so it is"))
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (code, status)
    assert response.json()["checks"]["it"] == {"status": status, "detail": "so it is"}


def test_a_hanging_check_does_not_delay_the_response(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def hang() -> CheckResult:
        stop.wait(30)
        return CheckResult("ok", "at last")

    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("hanging", hang, timeout=timedelta(milliseconds=50))
    started = time.monotonic()
    response = client.get("/readyz")
    stop.set()

    assert time.monotonic() - started < 5
    assert (response.status_code, response.json()["checks"]) == (
        503,
        {"hanging": {"status": "critical", "detail": "no answer in time"}},
    )
