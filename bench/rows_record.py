"""`metering.record` in this process, against one SQL statement that gets the rated rows for nothing."""

from __future__ import annotations

from itertools import count

from django.db import connection
from django.utils import timezone

from bench import load, rounds
from bench.load import Workload
from bench.outcome import Outcome, compared
from bench.rows import Sizes
from bench.statement import Statement
from billing.events import events
from billing.events.events import Event
from billing.recording import metering

BATCH = 1_000
TARGETS = {"mixed": 1.0, "one": 1.25}
SOURCE = metering.Source(may_create_accounts=True)

_seeds = count(1)


def mixed(sizes: Sizes) -> list[Outcome]:
    return [_measure("mixed", sizes)]


def one(sizes: Sizes) -> list[Outcome]:
    return [_measure("one", sizes)]


def _measure(workload: Workload, sizes: Sizes) -> Outcome:
    peer = Statement()
    for batch in parsed(workload, 4):  # books, plans, accounts
        record([batch])
        peer.rate([_ids(batch)])
    rates = []
    for _ in range(sizes.rounds):
        batches = parsed(workload, sizes.batches)
        ours = record(batches)
        rates.append((ours, peer.rate([_ids(batch) for batch in batches])))
    _same_totals()
    return compared(
        f"metering.record, {workload}", rates, unit="/s", peer="one SQL statement", target=TARGETS[workload]
    )


def parsed(workload: Workload, batches: int) -> list[list[Event]]:
    """New events, as `record` takes them."""
    return [[events.parse(one) for one in load.events(workload, BATCH, seed=next(_seeds))] for _ in range(batches)]


def record(batches: list[list[Event]]) -> float:
    """Events a second."""

    def send() -> None:
        for batch in batches:
            results = metering.record(batch, source=SOURCE, at=timezone.now())
            if any(result.status != "accepted" for result in results):
                raise RuntimeError("a new event was not accepted")

    return len(batches) * BATCH / rounds.seconds(send)


def _ids(batch: list[Event]) -> list[str]:
    return [event.event_id for event in batch]


def _same_totals() -> None:
    """The peer did the same work, to the last nano-dollar, or the comparison means nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(calls), sum(cost_nano) FROM platform_days")
        ours = cursor.fetchone()
        cursor.execute("SELECT sum(calls), sum(cost_nano) FROM peer.platform_days")
        theirs = cursor.fetchone()
    if ours != theirs:
        raise RuntimeError(f"the peer's totals differ: {ours} {theirs}")
