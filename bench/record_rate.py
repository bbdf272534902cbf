"""Rate of `metering.record` in this process, against one SQL statement that receives rows already rated."""

from __future__ import annotations

from itertools import count

from django.db import connection
from django.utils import timezone

from bench import timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates
from bench.sql_statement_peer import SqlStatementPeer
from bench.workloads import Workload
from billing.events import events
from billing.events.events import Event
from billing.recording import metering

BATCH_EVENTS = 1_000
TARGETS = {"mixed": 1.0, "one": 1.25}
SOURCE = metering.EventSource(may_create_accounts=True)

_seeds = count(1)


def measure_mixed(sizes: Sizes) -> list[Measurement]:
    return [_measure("mixed", sizes)]


def measure_one(sizes: Sizes) -> list[Measurement]:
    return [_measure("one", sizes)]


def _measure(workload: Workload, sizes: Sizes) -> Measurement:
    peer = SqlStatementPeer()
    for batch in parsed_batches(workload, 4):  # loads prices, rules and plans, and creates accounts
        events_per_second([batch])
        peer.rate([_event_ids(batch)])
    rates = []
    for _ in range(sizes.rounds):
        batches = parsed_batches(workload, sizes.batches)
        ours = events_per_second(batches)
        rates.append((ours, peer.rate([_event_ids(batch) for batch in batches])))
    _check_same_totals()
    return compare_rates(
        f"metering.record, {workload}", rates, unit="/s", peer="one SQL statement", target=TARGETS[workload]
    )


def parsed_batches(workload: Workload, batches: int) -> list[list[Event]]:
    """Batches of new, parsed events."""
    return [
        [events.parse(event) for event in workloads.events(workload, BATCH_EVENTS, seed=next(_seeds))]
        for _ in range(batches)
    ]


def events_per_second(batches: list[list[Event]]) -> float:
    """Record the batches. Returns events per second."""

    def send() -> None:
        for batch in batches:
            results = metering.record(batch, source=SOURCE, at=timezone.now())
            if any(result.status != "accepted" for result in results):
                raise RuntimeError("a new event was not accepted")

    return len(batches) * BATCH_EVENTS / timing.elapsed_seconds(send)


def _event_ids(batch: list[Event]) -> list[str]:
    return [event.event_id for event in batch]


def _check_same_totals() -> None:
    """Raises RuntimeError unless the peer's totals equal ours to the nano-dollar, as the comparison requires."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(calls), sum(cost_nano) FROM platform_days")
        ours = cursor.fetchone()
        cursor.execute("SELECT sum(calls), sum(cost_nano) FROM peer.platform_days")
        theirs = cursor.fetchone()
    if ours != theirs:
        raise RuntimeError(f"the totals differ: ours {ours}, the peer's {theirs}")
