"""Four processes send the same events, each in an order of its own: stored once, counted once, on every database."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.proof import children, sent

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts four processes that write"),
]

WRITERS, EVENTS = 4, 1_500


def test_four_writers_of_the_same_events_store_and_count_each_once() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.tell(f"seed {seed}")
    writers = [_writer(seed + number) for number in range(WRITERS)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # together, so that they race for the accounts as well
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [_answer(writer) for writer in writers]

    assert [sum(column) for column in zip(*answers, strict=True)] == [EVENTS, (WRITERS - 1) * EVENTS, 0]
    sent.assert_stored_once(sent.events(EVENTS))


def _writer(seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.writer", str(seed), str(EVENTS)]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(writer: subprocess.Popen[str]) -> list[int]:
    """How many events it was told are accepted, duplicates, and anything else."""
    out, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    return [int(number) for number in out.split()]
