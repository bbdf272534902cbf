"""Four processes record the same events, each in its own order: every event is stored and counted once."""

from __future__ import annotations

import random
import subprocess
import sys

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
    writers = [_start_writer(seed + number) for number in range(WRITER_COUNT)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # together, so that they race for the accounts as well
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    counts = [_read_counts(writer) for writer in writers]

    assert [sum(column) for column in zip(*counts, strict=True)] == [EVENT_COUNT, (WRITER_COUNT - 1) * EVENT_COUNT, 0]
    workload.assert_stored_once(workload.events(EVENT_COUNT))


def _start_writer(seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.writer", str(seed), str(EVENT_COUNT)]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _read_counts(writer: subprocess.Popen[str]) -> list[int]:
    """How many events the process reports as accepted, duplicates and anything else."""
    out, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    return [int(number) for number in out.split()]
