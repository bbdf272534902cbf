"""Rate of single events over HTTP, one durable transaction each, against a view that only inserts a row by ORM."""

from __future__ import annotations

import json
import os
from itertools import count

from django.utils import timezone

from bench import http_clients, timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates
from bench.server import Server
from billing.accounts import access, accounts

CONNECTIONS, WORKERS, THREADS = 16, 2, 4
EVENTS_PER_BATCH = 100  # single events per round, for each of Sizes.batches
TARGET = 0.7

_seeds = count(1)


def measure(sizes: Sizes) -> list[Measurement]:
    at = timezone.now()
    accounts.ensure((f"account-{number}" for number in range(workloads.ACCOUNTS)), at=at)
    _, token = access.create_key(name="bench", scopes=["ingest"], at=at)
    ours = Server(os.environ, workers=WORKERS, threads=THREADS)
    orm_insert = {**os.environ, "DJANGO_SETTINGS_MODULE": "bench.orm_insert_settings"}
    theirs = Server(orm_insert, workers=WORKERS, threads=THREADS)
    with ours, theirs:

        def send(port: int, path: str) -> float:
            bodies = _bodies(sizes.batches * EVENTS_PER_BATCH)
            return http_clients.post_rate(port, path, token, bodies, connections=CONNECTIONS, expected_status=201)

        send(ours.port, "/api/v1/usage/")  # fills caches and opens connections
        send(theirs.port, "/api/v1/bare/")
        rates = timing.alternate(
            sizes.rounds, lambda: send(ours.port, "/api/v1/usage/"), lambda: send(theirs.port, "/api/v1/bare/")
        )
    what = f"single event over HTTP, {CONNECTIONS} connections"
    return [compare_rates(what, rates, unit="/s", peer="bare view, ORM insert", target=TARGET)]


def _bodies(events: int) -> list[bytes]:
    return [json.dumps(event).encode() for event in workloads.events("mixed", events, seed=next(_seeds))]
