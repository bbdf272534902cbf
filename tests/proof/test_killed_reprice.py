"""A re-pricing and its revert, killed with SIGKILL at random moments: consistent after each kill, complete when run again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import Any

import pytest

from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups, set_price
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a command and kills it"),
]

MODEL, LOG_COUNT, KILL_COUNT = "brand-new-1", 600, 2
MAX_DELAY_SECONDS = 0.15  # between a committed step and the kill


def test_a_killed_re_pricing_and_its_revert_end_as_if_they_were_never_killed() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    calls = (
        {"event_id": f"e{n}", "account": f"a{n % 3}", "usage": {"input_tokens": n}} for n in range(1, LOG_COUNT + 1)
    )
    record(*({"model": MODEL, "cost_usd": None, **call} for call in calls))
    unpriced = _state()
    set_price(MODEL, input_tokens="5")

    _run_and_kill_repeatedly(rng)
    _run_to_the_end()
    batch = CorrectionBatch.objects.get(kind="reprice")
    priced = {f"e{n}": (n * 5_000, True, 1) for n in range(1, LOG_COUNT + 1)}
    assert _charges() == priced
    assert (batch.logs, batch.skipped, batch.delta_nano) == (LOG_COUNT, 0, sum(nano for nano, _, _ in priced.values()))
    assert batch.finished_at is not None

    _run_and_kill_repeatedly(rng, str(batch.id))
    _run_to_the_end(str(batch.id))
    reversal = CorrectionBatch.objects.get(kind="revert")
    assert _state() == unpriced
    assert (reversal.logs, reversal.skipped, reversal.delta_nano) == (LOG_COUNT, 0, -batch.delta_nano)
    assert UsageAdjustment.objects.count() == 2 * LOG_COUNT


def _run_and_kill_repeatedly(rng: random.Random, *options: str) -> None:
    for _ in range(KILL_COUNT):
        steps, delay = rng.randint(1, 3), rng.uniform(0, MAX_DELAY_SECONDS)
        children.report(f"SIGKILL {delay:.3f} s after step {steps}{' of the revert' if options else ''}")
        child = _start(*options)
        assert child.stdout is not None
        for _ in range(steps):
            assert child.stdout.readline() == "step\n"
        time.sleep(delay)
        child.kill()
        child.communicate()
        assert_ledger_consistent()


def _run_to_the_end(*options: str) -> None:
    child = _start(*options)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert_ledger_consistent()


def _start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.repricer", *options]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _charges() -> dict[str, tuple[int, bool, int]]:
    """For each event id: nano-USD charged, whether it is priced, and the number of adjustments."""
    logs = UsageLog.objects.values_list("id", "event_id", "effective_nano", "is_priced")
    counts: dict[Any, int] = {}
    for log_id in UsageAdjustment.objects.values_list("log_id", flat=True):
        counts[log_id] = counts.get(log_id, 0) + 1
    return {event: (nano, priced, counts.get(id_, 0)) for id_, event, nano, priced in logs}


def _state() -> tuple[object, ...]:
    charges = {event: (nano, priced) for event, (nano, priced, _) in _charges().items()}
    return charges, rollups()
