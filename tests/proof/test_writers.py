"""Four processes record the same events, each in its own order: every event is stored and counted once."""

from __future__ import annotations

import random

import pytest

from tests.proof import children, workload

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts four processes that write"),
]

WRITER_COUNT, EVENT_COUNT = 4, 1_500


def test_four_writers_of_the_same_events_store_and_count_each_event_once() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    counts = children.race([["tests.proof.writer", str(seed + n), str(EVENT_COUNT)] for n in range(WRITER_COUNT)])

    assert [sum(column) for column in zip(*counts, strict=True)] == [EVENT_COUNT, (WRITER_COUNT - 1) * EVENT_COUNT, 0]
    workload.assert_stored_once(workload.events(EVENT_COUNT))
