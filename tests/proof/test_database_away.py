"""PostgreSQL stopped under a running service: liveness stays, readiness goes, health is unknown; all comes back by itself."""

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

PATIENCE = 20.0
HEALTH = "from django.utils import timezone; from monitoring import health; print(health.system(timezone.now()).status)"
pytestmark = pytest.mark.real_clock(reason="starts a database server and a service")


@pytest.fixture(scope="module")
def private() -> Iterator[Cluster]:
    """Not below pytest's own temporary folder, which other users may not enter."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, cluster.running(Path(folder)) as started:
        yield started


class Service:
    """The server and the commands, with the environment that they share."""

    def __init__(self, private: Cluster, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "DATABASE_URL": f"{private.url('postgres')}?connect_timeout=5",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(folder),
        }
        self.manage("migrate", "--verbosity", "0")
        told = self.manage("create_api_key", "proof", "--scope", "read", "--scope", "ingest").stdout
        self.token = next(word for word in told.split() if word.startswith("tg_"))

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, check=False, text=True, capture_output=True)

    def ask(self, port: int, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


@pytest.fixture(scope="module")
def service(private: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(private, tmp_path_factory.mktemp("service"))


def test_a_stopped_database_is_told_and_all_recovers_without_a_restart(private: Cluster, service: Service) -> None:
    event = {"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 1}}
    with Server(service.environment, workers=1, threads=4) as server:

        def ask(path: str, body: object = None) -> tuple[int, Any]:
            return service.ask(server.port, path, body)

        workers = server.workers()
        assert ask("/readyz")[0] == 200
        assert ask("/api/v1/usage/", event)[0] == 201
        _wait(lambda: _health(ask) == "healthy")  # once the request log has written its first minute

        private.stop()
        begun = time.monotonic()
        status, body = ask("/readyz")
        children.tell(f"/readyz said {status} after {time.monotonic() - begun:.3f} s: {body!r}")
        checks = json.loads(body)["checks"]
        assert (status, checks["database"]["status"]) == (503, "critical")
        assert time.monotonic() - begun < 5
        assert ask("/livez") == (200, b"ok\n")
        assert ask("/api/v1/health/system/")[0] == 503
        assert ask("/api/v1/usage/", event)[0] == 503
        assert ask("/metrics")[0] == 503
        assert service.manage("shell", "--no-imports", "-c", HEALTH).stdout == "unknown\n"
        assert service.manage("health").returncode == 2

        private.start()
        _wait(lambda: ask("/readyz")[0] == 200)
        assert ask("/api/v1/usage/", event)[0] == 200  # what was acknowledged is there: a duplicate
        assert ask("/livez") == (200, b"ok\n")
        _wait(lambda: _health(ask) in {"healthy", "warning", "critical"})
        assert server.workers() == workers


def test_a_database_that_hangs_does_not_hang_the_probes(private: Cluster, service: Service) -> None:
    with Server(service.environment, workers=1, threads=4) as server:
        assert service.ask(server.port, "/readyz")[0] == 200
        private.signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                begun = time.monotonic()
                status, body = service.ask(server.port, "/readyz")
                took = time.monotonic() - begun
                children.tell(f"/readyz said {status} after {took:.3f} s: {body!r}")
                assert (status, json.loads(body)["status"]) == (503, "critical")
                assert took < 4
                assert service.ask(server.port, "/livez") == (200, b"ok\n")
        finally:
            private.signal(signal.SIGCONT)
        _wait(lambda: service.ask(server.port, "/readyz")[0] == 200)


def _health(ask: Callable[[str], tuple[int, Any]]) -> str:
    status, body = ask("/api/v1/health/system/")
    return str(json.loads(body)["status"]) if status == 200 else f"answered {status}"


def _wait(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)
