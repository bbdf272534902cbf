"""HTTP clients: threads with one connection each that send prepared bodies as fast as the server answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterable
from contextlib import closing

from bench.timing import elapsed_seconds


def post_rate(
    port: int, path: str, token: str, bodies: list[bytes], *, connections: int, expected_status: int
) -> float:
    """Bodies per second. Raises RuntimeError if a response has another status."""
    remaining = iter(bodies)  # threads may share a list's iterator: each body is sent once
    failures: list[str] = []

    def send() -> None:
        failures.extend(_send_all(port, path, token, remaining, expected_status))

    def run_threads() -> None:
        threads = [threading.Thread(target=send) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    elapsed = elapsed_seconds(run_threads)
    if failures:
        raise RuntimeError(f"{len(failures)} unexpected responses, the first: {failures[0]}")
    return len(bodies) / elapsed


def _send_all(port: int, path: str, token: str, bodies: Iterable[bytes], expected_status: int) -> list[str]:
    """Send the bodies over one connection. Returns a text for each response with another status."""
    failures = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        for body in bodies:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != expected_status:
                failures.append(f"{response.status} {content[:300]!r}")
    return failures
