"""Erasure of addresses, killed with SIGKILL at random moments: the next run erases the rest, and nothing else changes."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from billing.models import ErasureCursor, UsageLog
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a process and kills it"),
]

LOG_COUNT, KILL_COUNT = 1_000, 3
MAX_DELAY_SECONDS = 0.05  # between a committed batch and the kill


def test_a_killed_erasure_ends_as_if_it_was_never_killed() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    calls = [{"event_id": f"e{n}", "ip_address": "192.0.2.1", "user_agent": "x"} for n in range(LOG_COUNT)]
    first = record(*calls)
    before = rollups(), _other_columns()

    for _ in range(KILL_COUNT):
        _run_and_kill(rng.randint(1, 4), rng.uniform(0, MAX_DELAY_SECONDS))
        assert (rollups(), _other_columns()) == before
        up_to = ErasureCursor.objects.get().log
        assert not UsageLog.objects.filter(id__lte=up_to).exclude(ip_address="", user_agent="").exists()
    child = _start()
    child.communicate(timeout=60)

    assert child.returncode == 0
    assert UsageLog.objects.filter(ip_address="", user_agent="").count() == LOG_COUNT
    assert (rollups(), _other_columns()) == before
    assert_ledger_consistent()
    repeated = record(*calls)
    assert [(result.status, result.log_id) for result in repeated] == [("duplicate", result.log_id) for result in first]


def _run_and_kill(batches: int, delay: float) -> None:
    children.report(f"SIGKILL {delay:.3f} s after batch {batches}")
    with _start() as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(batches)]
        time.sleep(delay)
        child.kill()
    assert lines == ["step\n"] * batches


def _start() -> subprocess.Popen[str]:
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.proof.eraser"], env=environment, stdout=subprocess.PIPE, text=True
    )


def _other_columns() -> list[tuple[object, ...]]:
    return sorted(UsageLog.objects.values_list("id", "event_id", "digest", "cost_total", "effective_nano"))
