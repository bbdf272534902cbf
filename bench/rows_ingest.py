"""Batch ingest over HTTP: what `COPY` of the same rows into the same indexed table does, is the physical limit."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import count
from typing import cast

import psycopg
from django.db import connection
from django.utils import timezone

from bench import http_clients, load, rounds
from bench.load import Workload
from bench.outcome import Outcome, compared
from bench.rows import Sizes
from bench.server import Server
from billing.accounts import access

BATCH, CONNECTIONS, WORKERS = 1_000, 8, 2
TARGETS = {"mixed": 0.5, "one": 0.75}
REPLAY = 0.85

_seeds = count(1)


def mixed(sizes: Sizes) -> list[Outcome]:
    return _measure("mixed", sizes)


def one(sizes: Sizes) -> list[Outcome]:
    return _measure("one", sizes)


def _measure(workload: Workload, sizes: Sizes) -> list[Outcome]:
    _, token = access.create_key(name="bench", scopes=["ingest"], at=timezone.now())
    with Server(os.environ, workers=WORKERS) as server:

        def send(bodies: list[bytes]) -> float:
            """Events a second."""
            pace = http_clients.rate(server.port, "/api/v1/usage/", token, bodies, connections=CONNECTIONS, wanted=200)
            return BATCH * pace

        send(_bodies(workload, CONNECTIONS))  # each worker has its books in memory, each account is made
        peer = _Copy()
        fresh, again, limit = [], [], []
        for _ in range(sizes.rounds):
            bodies, since = _bodies(workload, sizes.batches), datetime.now(UTC)
            fresh.append(send(bodies))
            limit.append(peer.rate(since, sizes.batches * BATCH))
            again.append(send(bodies))
    name = f"batch ingest over HTTP, {workload}"
    peer_name = "COPY of the rows"
    return [
        compared(name, list(zip(fresh, limit, strict=True)), unit="/s", peer=peer_name, target=TARGETS[workload]),
        compared(f"{name}, sent again", list(zip(again, limit, strict=True)), unit="/s", peer=peer_name, target=REPLAY),
    ]


def _bodies(workload: Workload, batches: int) -> list[bytes]:
    return [json.dumps({"events": load.events(workload, BATCH, seed=next(_seeds))}).encode() for _ in range(batches)]


class _Copy:
    """A table like the log, with all its indexes, that grows by the same rows."""

    def __init__(self) -> None:
        connection.ensure_connection()
        self._psycopg = cast("psycopg.Connection", connection.connection)
        self._psycopg.execute("CREATE TABLE copied_logs (LIKE api_usage_logs INCLUDING ALL)")

    def rate(self, since: datetime, expected: int) -> float:
        """Rows a second: those that were received `since`, in one COPY."""
        cursor = self._psycopg.cursor()
        query = "COPY (SELECT * FROM api_usage_logs WHERE received_at >= {}) TO STDOUT (FORMAT binary)"
        with cursor.copy(psycopg.sql.SQL(query).format(since)) as out:
            data = b"".join(bytes(part) for part in out)

        def copy() -> None:
            with cursor.copy("COPY copied_logs FROM STDIN (FORMAT binary)") as into:
                into.write(data)

        taken = rounds.seconds(copy)
        if cursor.rowcount != expected:
            raise RuntimeError(f"{cursor.rowcount} rows are stored of {expected} that were sent")
        return expected / taken
