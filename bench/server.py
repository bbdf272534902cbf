"""Runs the service under granian on a free loopback port, for measurements and for tests that kill it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 30.0  # for a start or a stop on a busy machine


class Server:
    """Granian with its workers in their own process group. It can be killed and restarted on the same port."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        workers: int,
        threads: int = 1,
    ) -> None:
        self.port = _free_port()
        self._environment = dict(environment)
        self._command = [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", str(workers), "--blocking-threads", str(threads), "--no-ws", "--log-level", "error"),
            *("--respawn-failed-workers", "--respawn-interval", "0.1", "config.wsgi:application"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        try:
            self.wait()
        except TimeoutError:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, start_new_session=True)

    def wait(self) -> None:
        """Wait until the service answers. Raises TimeoutError.

        Granian exits when a new worker dies within 5.5 s; it is restarted then, as a service manager would do.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._process and self._process.poll() is not None:
                self.start()
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
                try:
                    connection.request("GET", "/livez")
                    connection.getresponse().read()
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)
                else:
                    return
        raise TimeoutError(f"no answer on port {self.port} within {TIMEOUT_SECONDS} s")

    def kill(self) -> None:
        """Send SIGKILL to all processes at once."""
        if self._process:
            with suppress(ProcessLookupError):  # it has already exited
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def workers(self) -> list[int]:
        """The process ids of its workers, oldest first (Linux)."""
        if self._process is None:
            return []
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def stop(self) -> None:
        """Stop with SIGTERM, or with SIGKILL after TIMEOUT_SECONDS."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
