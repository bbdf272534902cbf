"""PostgreSQL stops under a running service: it stays live, is not ready, health is unknown; and it recovers by itself."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.server import ROOT, Server
from tests.proof import children, cluster
from tests.proof.cluster import Cluster

TIMEOUT_SECONDS = 20.0
PRINT_HEALTH = (
    "from django.utils import timezone; from monitoring import health; print(health.measure(timezone.now()).status)"
)
pytestmark = pytest.mark.real_clock(reason="starts a database server and a service")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    """Its folder is not in pytest's temporary folder, which the user postgres may not enter."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, cluster.running(Path(folder)) as started:
        yield started


class Service:
    """The environment of the server and the commands, and requests to the server."""

    def __init__(self, postgres: Cluster, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "DATABASE_URL": f"{postgres.url('postgres')}?connect_timeout=5",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(folder),
        }
        self.manage("migrate", "--verbosity", "0")
        output = self.manage("create_api_key", "proof", "--scope", "read", "--scope", "ingest").stdout
        self.token = next(word for word in output.split() if word.startswith("tg_"))

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, check=False, text=True, capture_output=True)

    def fetch(self, port: int, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


@pytest.fixture(scope="module")
def service(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(postgres, tmp_path_factory.mktemp("service"))


def test_a_stopped_database_is_reported_and_the_service_recovers_without_a_restart(
    postgres: Cluster, service: Service
) -> None:
    event = {"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 1}}
    with Server(service.environment, workers=1, threads=4) as server:

        def fetch(path: str, body: object = None) -> tuple[int, Any]:
            return service.fetch(server.port, path, body)

        workers = server.workers()
        assert fetch("/readyz")[0] == 200
        assert fetch("/api/v1/usage/", event)[0] == 201
        _wait_until(lambda: _health(fetch) == "healthy")  # after the request log has written its first minute

        postgres.stop()
        started_at = time.monotonic()
        status, body = fetch("/readyz")
        children.report(f"/readyz answered {status} after {time.monotonic() - started_at:.3f} s: {body!r}")
        checks = json.loads(body)["checks"]
        assert (status, checks["database"]["status"]) == (503, "critical")
        assert time.monotonic() - started_at < 5
        assert fetch("/livez") == (200, b"ok\n")
        assert fetch("/api/v1/health/system/")[0] == 503
        assert fetch("/api/v1/usage/", event)[0] == 503
        assert fetch("/metrics")[0] == 503
        assert service.manage("shell", "--no-imports", "-c", PRINT_HEALTH).stdout == "unknown\n"
        assert service.manage("health").returncode == 2

        postgres.start()
        _wait_until(lambda: fetch("/readyz")[0] == 200)
        assert fetch("/api/v1/usage/", event)[0] == 200  # a duplicate: the acknowledged event is stored
        assert fetch("/livez") == (200, b"ok\n")
        _wait_until(lambda: _health(fetch) in {"healthy", "warning", "critical"})
        assert server.workers() == workers


def test_a_database_that_hangs_does_not_hang_the_probes(postgres: Cluster, service: Service) -> None:
    with Server(service.environment, workers=1, threads=4) as server:
        assert service.fetch(server.port, "/readyz")[0] == 200
        postgres.signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                started_at = time.monotonic()
                status, body = service.fetch(server.port, "/readyz")
                took = time.monotonic() - started_at
                children.report(f"/readyz answered {status} after {took:.3f} s: {body!r}")
                assert (status, json.loads(body)["status"]) == (503, "critical")
                assert took < 4
                assert service.fetch(server.port, "/livez") == (200, b"ok\n")
        finally:
            postgres.signal(signal.SIGCONT)
        _wait_until(lambda: service.fetch(server.port, "/readyz")[0] == 200)


def _health(fetch: Callable[[str], tuple[int, Any]]) -> str:
    status, body = fetch("/api/v1/health/system/")
    return str(json.loads(body)["status"]) if status == 200 else f"answered {status}"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
