"""Clients for the HTTP rows: threads with a connection each, which send prepared bodies as fast as they are answered."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterable
from contextlib import closing

from bench.rounds import seconds


def rate(port: int, path: str, token: str, bodies: list[bytes], *, connections: int, wanted: int) -> float:
    """Bodies a second. Raises RuntimeError where an answer has another status than `wanted`."""
    left = iter(bodies)  # a list's iterator may be shared: each body is handed out once
    failures: list[str] = []

    def send() -> None:
        failures.extend(_failures(port, path, token, left, wanted))

    def all_of_them() -> None:
        threads = [threading.Thread(target=send) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    taken = seconds(all_of_them)
    if failures:
        raise RuntimeError(f"{len(failures)} bad answers, the first: {failures[0]}")
    return len(bodies) / taken


def _failures(port: int, path: str, token: str, bodies: Iterable[bytes], wanted: int) -> list[str]:
    found = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        for body in bodies:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != wanted:
                found.append(f"{answer.status} {content[:300]!r}")
    return found
