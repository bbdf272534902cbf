"""Rate of the CSV export of the API, in this process, against `COPY TO` of the same rows."""

from __future__ import annotations

import resource
from typing import Any, cast

import psycopg
from django.db import connection
from django.test import Client
from django.utils import timezone

from bench import large_data_set, timing
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates
from billing.accounts import access

EXPORTED_ROWS = 100_000
TARGET = 0.15
MAX_MEMORY_GROWTH_KIB = 64 * 1024


def measure(sizes: Sizes) -> list[Measurement]:
    at = timezone.now()
    large_data_set.create_accounts(at)
    large_data_set.create_logs(EXPORTED_ROWS, at=at)
    _, token = access.create_key(name="bench", scopes=["read"], at=at)
    client = Client(headers={"host": "localhost", "authorization": f"Bearer {token}"})
    _export(client, 1)
    before = _memory_kib()
    rates = timing.alternate(sizes.rounds, lambda: _export_rate(client), _copy_rate)
    if _memory_kib() - before > MAX_MEMORY_GROWTH_KIB:
        raise RuntimeError(f"memory grew by {_memory_kib() - before} KiB")
    return [compare_rates(f"CSV export, {EXPORTED_ROWS:,} rows", rates, unit="/s", peer="COPY TO", target=TARGET)]


def _export_rate(client: Client) -> float:
    return EXPORTED_ROWS / timing.elapsed_seconds(lambda: _export(client, EXPORTED_ROWS))


def _export(client: Client, rows: int) -> None:
    """Read at least `rows` rows of the response: all of it for EXPORTED_ROWS."""
    span = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    response: Any = client.get("/api/v1/usage/logs/", {"format": "csv", **span})
    lines = -1
    for chunk in response.streaming_content:
        lines += chunk.count(b"\n")
        if rows < EXPORTED_ROWS and lines >= rows:
            break
    response.close()
    if lines < rows:
        raise RuntimeError(f"{lines} of {rows} rows were exported")


def _copy_rate() -> float:
    connection.ensure_connection()  # the test client closed it after the export
    cursor = cast("psycopg.Connection[Any]", connection.connection).cursor()

    def copy() -> None:
        with cursor.copy(
            "COPY (SELECT * FROM api_usage_logs ORDER BY timestamp DESC, id) TO STDOUT (FORMAT csv)"
        ) as out:
            for _ in out:
                pass

    return EXPORTED_ROWS / timing.elapsed_seconds(copy)


def _memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
