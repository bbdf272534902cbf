"""Servers killed with SIGKILL under load: every acknowledged event is stored, and none is counted twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from django.db import connection

from bench.server import Server
from billing.accounts import access
from tests.proof import children, workload
from tests.proof.senders import Sender

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts servers and kills them"),
]

CLIENT_COUNT, KILL_COUNT = 4, 4
CONNECTION_ERRORS = {
    "ConnectionRefusedError",
    "ConnectionResetError",
    "BrokenPipeError",
    "RemoteDisconnected",
    "IncompleteRead",
}


def test_events_acknowledged_by_a_killed_server_are_stored_and_counted_once() -> None:
    seed = random.SystemRandom().randrange(10**6)
    _, token = access.create_key(name="proof", scopes=["ingest"], at=datetime.now(UTC))
    workers = 1 if connection.vendor == "sqlite" else 2
    stopping = threading.Event()
    with Server(children.environment(), workers=workers, threads=2) as server:
        senders = [
            Sender(server.port, token, prefix=f"client-{number}-", seed=seed + number, stopping=stopping)
            for number in range(CLIENT_COUNT)
        ]
        for sender in senders:
            sender.start()
        _kill_repeatedly(server, random.Random(seed), seed)
        stopping.set()
        _wait_for(senders, server)

    _assert_nothing_lost(senders)


def _kill_repeatedly(server: Server, rng: random.Random, seed: int) -> None:
    """Kills the whole service, or one worker, which granian replaces. Reports the seed and the delays."""
    children.report(f"seed {seed}")
    for _ in range(KILL_COUNT):
        delay = rng.uniform(0.2, 1.5)
        time.sleep(delay)
        workers = server.workers()
        whole_service = rng.random() < 0.5 or not workers  # granian gives up after too many dead workers
        children.report(
            f"{delay:.3f} s after the last start: SIGKILL for {'the service' if whole_service else 'a worker'}"
        )
        if whole_service:
            server.kill()
            server.start()
        else:
            os.kill(rng.choice(workers), signal.SIGKILL)
        server.wait()
    time.sleep(rng.uniform(0.2, 1.0))


def _wait_for(senders: list[Sender], server: Server) -> None:
    """Waits until every client has its answers; restarts a service that gave up after too many dead workers."""
    deadline = time.monotonic() + 30
    while any(sender.is_alive() for sender in senders):
        assert time.monotonic() < deadline
        server.wait()
        time.sleep(0.1)
    for sender in senders:
        sender.join()


def _assert_nothing_lost(senders: list[Sender]) -> None:
    """All sent events are acknowledged and stored, each accepted at most once and under one id; totals equal the log."""
    statuses = sum((sender.statuses for sender in senders), Counter[int | str]())
    children.report(f"answers: {dict(statuses)}")
    workload.assert_stored_once([event for sender in senders for event in sender.sent])
    assert set(statuses) <= {200, *CONNECTION_ERRORS}
    assert statuses.total() > statuses[200]  # at least one batch was in progress when its server died
    for sender in senders:
        assert set(sender.results) == {event["event_id"] for event in sender.sent}
        for results in sender.results.values():
            assert {status for status, _ in results} <= {"accepted", "duplicate"}
            assert sum(count for (status, _), count in results.items() if status == "accepted") <= 1
            assert len({log_id for _, log_id in results}) == 1
