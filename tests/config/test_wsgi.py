"""Request bodies through a real server: chunked, with an invalid length, cut off. Sends raw requests to a granian process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from config import wsgi

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1024 * 1024
pytestmark = pytest.mark.real_clock(reason="starts a server")
EVENT = {"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o"}


class Response(NamedTuple):
    status: int
    body: Any


class Server:
    """A granian process with its own database."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder}/wsgi.sqlite3",
            "VAR_DIR": str(folder),
            "SECRET_KEY": "only-for-this-test",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self._manage("migrate", "--verbosity=0")
        self.token = self._manage("create_api_key", "test", "--scope=ingest", "--scope=read").split()[-1]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        command = [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={self.port}"]
        self.process = subprocess.Popen(
            [*command, "--no-ws", "config.wsgi:application"], cwd=ROOT, env=self.environment
        )
        self._wait()

    def _manage(self, *arguments: str) -> str:
        completed = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return completed.stdout

    def _wait(self) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("granian does not answer")

    def send(self, head: list[str], body: bytes, *, end: bool = False) -> Response:
        """Sends a raw `POST usage/` request; `end` closes the sending side after it."""
        lines = [
            "POST /api/v1/usage/ HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            "Content-Type: application/json",
            f"Authorization: Bearer {self.token}",
            *head,
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            try:
                connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server has already responded
            return _read_response(connection)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def _read_response(connection: socket.socket) -> Response:
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    try:
        return Response(status, json.loads(body))
    except ValueError:
        return Response(status, None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("wsgi"))
    yield server
    server.stop()


def chunked(body: bytes, size: int) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"


def event(name: str) -> bytes:
    return json.dumps({**EVENT, "event_id": name}).encode()


CHUNKED = ["Transfer-Encoding: chunked"]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_chunked_body_is_read_like_any_other(server: Server, size: int) -> None:
    body = event(f"chunks of {size}")
    response = server.send(CHUNKED, chunked(body, size))
    repeated = server.send([f"Content-Length: {len(body)}"], body)

    assert (response.status, response.body["status"]) == (201, "accepted")
    assert (repeated.status, repeated.body) == (200, {**response.body, "status": "duplicate"})


def test_a_large_chunked_batch_is_read_completely(server: Server) -> None:
    batch = json.dumps(
        {"events": [{**EVENT, "event_id": f"large {n}", "error_message": "x" * 4000} for n in range(1000)]}
    )
    response = server.send(CHUNKED, chunked(batch.encode(), 60_000))
    assert (response.status, response.body["accepted"]) == (200, 1000)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b" " * (5 * MIB + 1), 413), (event("e") + b" " * 20 * MIB, 413)],
    ids=["empty", "cut", "list", "over 5 MiB", "20 MiB"],
)
def test_a_bad_chunked_body_is_refused_like_any_other(server: Server, body: bytes, status: int) -> None:
    response = server.send(CHUNKED, chunked(body, 1 << 20))
    assert response.status == status


@pytest.mark.parametrize("length", ["junk", "-5", "+5", "5.0", "0x10", "1e3", "5, 6", "9" * 30, "\u00b2"])
def test_an_invalid_length_is_400(server: Server, length: str) -> None:
    assert server.send([f"Content-Length: {length}"], event("junk"), end=True).status == 400


@pytest.mark.parametrize("length", ["0", "00", ""])
def test_a_length_of_0_is_an_empty_body(server: Server, length: str) -> None:
    assert server.send([f"Content-Length: {length}"], b"").status == 400


def test_no_length_is_an_empty_body(server: Server) -> None:
    assert server.send([], b"").status == 400


def test_a_cut_off_body_stores_nothing(server: Server) -> None:
    body = event("cut off")
    server.send([f"Content-Length: {len(body) + 10}"], body, end=True)
    server.send(CHUNKED, chunked(body, 7)[:-20], end=True)
    server.send([f"Content-Length: {len(body)}"], body[:-1], end=True)
    assert server.send([f"Content-Length: {len(body)}"], body).body["status"] == "accepted"


def test_a_forwarded_address_from_the_caller_is_ignored(server: Server) -> None:
    body = event("forwarded")
    response = server.send([f"Content-Length: {len(body)}", "X-Forwarded-For: 6.6.6.6, junk"], body)
    assert response.status == 201


def test_invalid_lengths_are_refused_before_django_sees_them() -> None:
    statuses: list[Any] = []
    for length in ("junk", "-1", " 5", "\u0665"):
        body = wsgi.application({"CONTENT_LENGTH": length}, lambda *head: statuses.append(head[0]))
        assert json.loads(b"".join(body))["errors"][0]["code"] == "bad_request"
    assert statuses == ["400 Bad Request"] * 4
