"""One event a request over HTTP, each its own durable transaction, against a bare view that only inserts a row."""

from __future__ import annotations

import json
import os
from itertools import count

from django.utils import timezone

from bench import http_clients, load, rounds
from bench.outcome import Outcome, compared
from bench.rows import Sizes
from bench.server import Server
from billing.accounts import access, accounts

CONNECTIONS, WORKERS, THREADS = 16, 2, 4
EVENTS = 100  # a round, for each batch that the batch rows send
TARGET = 0.7

_seeds = count(1)


def measure(sizes: Sizes) -> list[Outcome]:
    at = timezone.now()
    accounts.ensure((f"account-{number}" for number in range(load.ACCOUNTS)), at=at)
    _, token = access.create_key(name="bench", scopes=["ingest"], at=at)
    ours = Server(os.environ, workers=WORKERS, threads=THREADS)
    bare = {**os.environ, "DJANGO_SETTINGS_MODULE": "bench.bare_view_settings"}
    theirs = Server(bare, workers=WORKERS, threads=THREADS)
    with ours, theirs:

        def send(port: int, path: str) -> float:
            bodies = _bodies(sizes.batches * EVENTS)
            return http_clients.rate(port, path, token, bodies, connections=CONNECTIONS, wanted=201)

        send(ours.port, "/api/v1/usage/")  # books and connections
        send(theirs.port, "/api/v1/bare/")
        rates = rounds.alternated(
            sizes.rounds, lambda: send(ours.port, "/api/v1/usage/"), lambda: send(theirs.port, "/api/v1/bare/")
        )
    what = f"single event over HTTP, {CONNECTIONS} connections"
    return [compared(what, rates, unit="/s", peer="bare view, ORM insert", target=TARGET)]


def _bodies(events: int) -> list[bytes]:
    return [json.dumps(one).encode() for one in load.events("mixed", events, seed=next(_seeds))]
