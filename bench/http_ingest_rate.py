"""Rate of batch ingest over HTTP, against its physical limit: `COPY` of the same rows into the same indexed table."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import count
from typing import cast

import psycopg
from django.db import connection
from django.utils import timezone

from bench import http_clients, timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates
from bench.server import Server
from bench.workloads import Workload
from billing.accounts import access

BATCH_EVENTS, CONNECTIONS, WORKERS = 1_000, 8, 2
TARGETS = {"mixed": 0.5, "one": 0.75}
REPLAY_TARGET = 0.85

_seeds = count(1)


def measure_mixed(sizes: Sizes) -> list[Measurement]:
    return _measure("mixed", sizes)


def measure_one(sizes: Sizes) -> list[Measurement]:
    return _measure("one", sizes)


def _measure(workload: Workload, sizes: Sizes) -> list[Measurement]:
    _, token = access.create_key(name="bench", scopes=["ingest"], at=timezone.now())
    with Server(os.environ, workers=WORKERS) as server:

        def send(bodies: list[bytes]) -> float:
            """Events per second."""
            return BATCH_EVENTS * http_clients.post_rate(
                server.port, "/api/v1/usage/", token, bodies, connections=CONNECTIONS, expected_status=200
            )

        send(_bodies(workload, CONNECTIONS))  # loads each worker's snapshots and creates the accounts
        peer = _CopyPeer()
        new_rates, replay_rates, copy_rates = [], [], []
        for _ in range(sizes.rounds):
            bodies, since = _bodies(workload, sizes.batches), datetime.now(UTC)
            new_rates.append(send(bodies))
            copy_rates.append(peer.rate(since, sizes.batches * BATCH_EVENTS))
            replay_rates.append(send(bodies))
    name, peer_name = f"batch ingest over HTTP, {workload}", "COPY of the rows"
    new = list(zip(new_rates, copy_rates, strict=True))
    replayed = list(zip(replay_rates, copy_rates, strict=True))
    return [
        compare_rates(name, new, unit="/s", peer=peer_name, target=TARGETS[workload]),
        compare_rates(f"{name}, sent again", replayed, unit="/s", peer=peer_name, target=REPLAY_TARGET),
    ]


def _bodies(workload: Workload, batches: int) -> list[bytes]:
    return [
        json.dumps({"events": workloads.events(workload, BATCH_EVENTS, seed=next(_seeds))}).encode()
        for _ in range(batches)
    ]


class _CopyPeer:
    """A copy of the usage log with all its indexes, which grows by the same rows."""

    def __init__(self) -> None:
        connection.ensure_connection()
        self._psycopg = cast("psycopg.Connection", connection.connection)
        self._psycopg.execute("CREATE TABLE copied_logs (LIKE api_usage_logs INCLUDING ALL)")

    def rate(self, since: datetime, expected: int) -> float:
        """Rows per second: copies the rows received since `since` by one COPY."""
        cursor = self._psycopg.cursor()
        query = "COPY (SELECT * FROM api_usage_logs WHERE received_at >= {}) TO STDOUT (FORMAT binary)"
        with cursor.copy(psycopg.sql.SQL(query).format(since)) as out:
            data = b"".join(bytes(chunk) for chunk in out)

        def copy() -> None:
            with cursor.copy("COPY copied_logs FROM STDIN (FORMAT binary)") as into:
                into.write(data)

        elapsed = timing.elapsed_seconds(copy)
        if cursor.rowcount != expected:
            raise RuntimeError(f"{cursor.rowcount} of {expected} rows were stored")
        return expected / elapsed
