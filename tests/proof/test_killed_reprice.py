"""A re-pricing, and its revert, killed with SIGKILL at random moments: equal after each, and run again as if never killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import Any

import pytest

from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import assert_equal, record, rollups, set_price
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a command and kills it"),
]

NEW, LOGS, KILLS = "brand-new-1", 600, 2
STEP = 0.15  # seconds after a committed part within which the next is killed


def test_a_killed_re_pricing_and_its_revert_end_as_if_they_never_were() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.tell(f"seed {seed}")
    chance = random.Random(seed)
    calls = ({"event_id": f"e{n}", "account": f"a{n % 3}", "usage": {"input_tokens": n}} for n in range(1, LOGS + 1))
    record(*({"model": NEW, "cost_usd": None, **call} for call in calls))
    unpriced = _state()
    set_price(NEW, input_tokens="5")

    _killed_again_and_again(chance)
    _to_the_end()
    batch = CorrectionBatch.objects.get(kind="reprice")
    priced = {f"e{n}": (n * 5_000, True, 1) for n in range(1, LOGS + 1)}
    assert _worths() == priced
    assert (batch.logs, batch.skipped, batch.delta_nano) == (LOGS, 0, sum(nano for nano, _, _ in priced.values()))
    assert batch.finished_at is not None

    _killed_again_and_again(chance, str(batch.id))
    _to_the_end(str(batch.id))
    undo = CorrectionBatch.objects.get(kind="revert")
    assert _state() == unpriced
    assert (undo.logs, undo.skipped, undo.delta_nano) == (LOGS, 0, -batch.delta_nano)
    assert UsageAdjustment.objects.count() == 2 * LOGS


def _killed_again_and_again(chance: random.Random, *options: str) -> None:
    for _ in range(KILLS):
        steps, moment = chance.randint(1, 3), chance.uniform(0, STEP)
        children.tell(f"SIGKILL {moment:.3f} s after step {steps}{' of the revert' if options else ''}")
        child = _start(*options)
        assert child.stdout is not None
        for _ in range(steps):
            assert child.stdout.readline() == "step\n"
        time.sleep(moment)
        child.kill()
        child.communicate()
        assert_equal()


def _to_the_end(*options: str) -> None:
    child = _start(*options)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert_equal()


def _start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.repricer", *options]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _worths() -> dict[str, tuple[int, bool, int]]:
    """Of each log what it is worth, whether it is priced, and how many adjustments it has."""
    logs = UsageLog.objects.values_list("id", "event_id", "effective_nano", "is_priced")
    counts: dict[Any, int] = {}
    for log_id in UsageAdjustment.objects.values_list("log_id", flat=True):
        counts[log_id] = counts.get(log_id, 0) + 1
    return {event: (nano, priced, counts.get(id_, 0)) for id_, event, nano, priced in logs}


def _state() -> tuple[object, ...]:
    worths = {event: (nano, priced) for event, (nano, priced, _) in _worths().items()}
    return worths, rollups()
