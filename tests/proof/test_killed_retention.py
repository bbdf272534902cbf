"""Erasing addresses, killed with SIGKILL at random moments: run again, all are erased, and nothing else has moved."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from billing.models import ErasureCursor, UsageLog
from tests.billing.ledger_rows import assert_equal, record, rollups
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a process and kills it"),
]

LOGS, KILLS = 1_000, 3
STEP = 0.05  # seconds after a committed batch within which the next is killed


def test_a_killed_erasure_ends_as_if_it_never_was() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.tell(f"seed {seed}")
    chance = random.Random(seed)
    calls = [{"event_id": f"e{n}", "ip_address": "192.0.2.1", "user_agent": "x"} for n in range(LOGS)]
    first = record(*calls)
    before = rollups(), _others()

    for _ in range(KILLS):
        _killed(chance.randint(1, 4), chance.uniform(0, STEP))
        assert (rollups(), _others()) == before
        up_to = ErasureCursor.objects.get().log
        assert not UsageLog.objects.filter(id__lte=up_to).exclude(ip_address="", user_agent="").exists()
    child = _start()
    child.communicate(timeout=60)

    assert child.returncode == 0
    assert UsageLog.objects.filter(ip_address="", user_agent="").count() == LOGS
    assert (rollups(), _others()) == before
    assert_equal()
    again = record(*calls)
    assert [(one.status, one.log_id) for one in again] == [("duplicate", one.log_id) for one in first]


def _killed(steps: int, moment: float) -> None:
    children.tell(f"SIGKILL {moment:.3f} s after batch {steps}")
    with _start() as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(steps)]
        time.sleep(moment)
        child.kill()
    assert told == ["step\n"] * steps


def _start() -> subprocess.Popen[str]:
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.proof.eraser"], env=environment, stdout=subprocess.PIPE, text=True
    )


def _others() -> list[tuple[object, ...]]:
    return sorted(UsageLog.objects.values_list("id", "event_id", "digest", "cost_total", "effective_nano"))
