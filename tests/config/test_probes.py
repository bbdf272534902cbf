"""`/livez` touches nothing; `/readyz` tells what is wrong, refuses requests when that is critical, and never hangs."""

import threading
import time
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from lib import readiness
from lib.readiness import Finding

pytestmark = pytest.mark.django_db


def test_livez_answers_without_the_database(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/livez")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_never_cached_and_take_only_reads(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_readyz_is_ready_on_a_migrated_database_where_no_job_was_run_yet(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "warning",
        "checks": {
            "database": {"status": "ok", "detail": "answers"},
            "migrations": {"status": "ok", "detail": "all applied"},
            "jobs": {"status": "warning", "detail": "no job was ever run"},
            "request_log": {"status": "ok", "detail": "no requests dropped"},
            "ledger": {"status": "warning", "detail": "not checked yet"},
        },
    }


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("warning", 200), ("critical", 503)])
def test_only_what_is_critical_takes_the_process_out_of_service(
    client: Client, monkeypatch: pytest.MonkeyPatch, status: readiness.Status, code: int
) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("fine", lambda: Finding("ok", "fine"))
    readiness.register("it", lambda: Finding(status, "so it is"))
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (code, status)
    assert response.json()["checks"]["it"] == {"status": status, "detail": "so it is"}


def test_a_check_that_hangs_does_not_hang_the_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hanging() -> Finding:
        over.wait(30)
        return Finding("ok", "at last")

    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("hanging", hanging, limit=timedelta(milliseconds=50))
    begun = time.monotonic()
    response = client.get("/readyz")
    over.set()

    assert time.monotonic() - begun < 5
    assert (response.status_code, response.json()["checks"]) == (
        503,
        {"hanging": {"status": "critical", "detail": "no answer in time"}},
    )
