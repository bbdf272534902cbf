"""Servers killed with SIGKILL under a load of batches: what was acknowledged is stored, and nothing counts twice."""

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
from tests.proof import children, sent
from tests.proof.senders import Sender

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts servers and kills them"),
]

CLIENTS, KILLS = 4, 4
NO_ANSWER = {
    "ConnectionRefusedError",
    "ConnectionResetError",
    "BrokenPipeError",
    "RemoteDisconnected",
    "IncompleteRead",
}


def test_what_a_killed_server_acknowledged_is_stored_and_counted_once() -> None:
    seed = random.SystemRandom().randrange(10**6)
    _, token = access.create_key(name="proof", scopes=["ingest"], at=datetime.now(UTC))
    workers = 1 if connection.vendor == "sqlite" else 2
    ending = threading.Event()
    with Server(children.environment(), workers=workers, threads=2) as server:
        senders = [
            Sender(server.port, token, prefix=f"client-{number}-", seed=seed + number, ending=ending)
            for number in range(CLIENTS)
        ]
        for sender in senders:
            sender.start()
        _kill_again_and_again(server, random.Random(seed), seed)
        ending.set()
        _wait_for(senders, server)

    _assert_nothing_lost(senders)


def _kill_again_and_again(server: Server, chance: random.Random, seed: int) -> None:
    """The whole service, or one of its workers, which granian replaces; the moments are told, as is the seed."""
    children.tell(f"seed {seed}")
    for _ in range(KILLS):
        moment = chance.uniform(0.2, 1.5)
        time.sleep(moment)
        workers = server.workers()
        whole = chance.random() < 0.5 or not workers  # granian gives up after too many dead workers
        children.tell(f"{moment:.3f} s after the last start: SIGKILL for {'the service' if whole else 'a worker'}")
        if whole:
            server.kill()
            server.start()
        else:
            os.kill(chance.choice(workers), signal.SIGKILL)
        server.wait()
    time.sleep(chance.uniform(0.2, 1.0))


def _wait_for(senders: list[Sender], server: Server) -> None:
    """Until every client has its answers; a service that gave up after too many dead workers is started meanwhile."""
    until = time.monotonic() + 30
    while any(sender.is_alive() for sender in senders):
        assert time.monotonic() < until
        server.wait()
        time.sleep(0.1)
    for sender in senders:
        sender.join()


def _assert_nothing_lost(senders: list[Sender]) -> None:
    """Acknowledged = stored = sent, each accepted at most once and always under one id; totals equal the log."""
    statuses = sum((sender.statuses for sender in senders), Counter[int | str]())
    children.tell(f"answers: {dict(statuses)}")
    everything = [one for sender in senders for one in sender.sent]
    sent.assert_stored_once(everything)
    assert set(statuses) <= {200, *NO_ANSWER}
    assert statuses.total() > statuses[200]  # at least one batch was under way when its server died
    for sender in senders:
        assert set(sender.told) == {one["event_id"] for one in sender.sent}
        for told in sender.told.values():
            assert {status for status, _ in told} <= {"accepted", "duplicate"}
            assert sum(count for (status, _), count in told.items() if status == "accepted") <= 1
            assert len({log_id for _, log_id in told}) == 1
