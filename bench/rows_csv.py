"""CSV export over the API, all in this process, against `COPY TO` of the same rows."""

from __future__ import annotations

import resource
from typing import Any, cast

import psycopg
from django.db import connection
from django.test import Client
from django.utils import timezone

from bench import large, rounds
from bench.outcome import Outcome, compared
from bench.rows import Sizes
from billing.accounts import access

ROWS = 100_000
TARGET = 0.15
FLAT_KIB = 64 * 1024


def measure(sizes: Sizes) -> list[Outcome]:
    at = timezone.now()
    large.accounts(at)
    large.logs(ROWS, at=at)
    _, token = access.create_key(name="bench", scopes=["read"], at=at)
    client = Client(headers={"host": "localhost", "authorization": f"Bearer {token}"})
    _export(client, 1)
    before = _memory_kib()
    rates = rounds.alternated(sizes.rounds, lambda: ROWS / rounds.seconds(lambda: _export(client, ROWS)), _copy_to)
    if _memory_kib() - before > FLAT_KIB:
        raise RuntimeError(f"memory grew by {_memory_kib() - before} KiB")
    return [compared(f"CSV export, {ROWS:,} rows", rates, unit="/s", peer="COPY TO", target=TARGET)]


def _export(client: Client, rows: int) -> None:
    """Read the answer to its end, or at least `rows` of it."""
    span = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    answer: Any = client.get("/api/v1/usage/logs/", {"format": "csv", **span})
    lines = -1
    for chunk in answer.streaming_content:
        lines += chunk.count(b"\n")
        if rows < ROWS and lines >= rows:
            break
    answer.close()
    if lines < rows:
        raise RuntimeError(f"{lines} rows came out of {rows}")


def _copy_to() -> float:
    connection.ensure_connection()  # the test client closed it behind the export
    cursor = cast("psycopg.Connection[Any]", connection.connection).cursor()

    def copy() -> None:
        with cursor.copy(
            "COPY (SELECT * FROM api_usage_logs ORDER BY timestamp DESC, id) TO STDOUT (FORMAT csv)"
        ) as out:
            for _ in out:
                pass

    return ROWS / rounds.seconds(copy)


def _memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
