"""`verify_ledger`, killed or stopped at random moments and continued with --resume, counts what an unbroken run counts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from django.db.models import F

from billing.models import LedgerCheckProgress, UsageDay, UsageLog
from tests.billing.ledger_rows import record, run
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a command and kills it"),
]

LOG_COUNT, KILL_COUNT, PAGE_SIZE = 600, 3, 20
COMMAND = ("-m", "tests.proof.ledger_checker", str(PAGE_SIZE))


def test_a_killed_check_continues_and_counts_every_row_once() -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    calls: Any = ({"event_id": f"e{n}", "account": f"a{n % 7}", "usage": {"input_tokens": n}} for n in range(LOG_COUNT))
    record(*calls)
    UsageLog.objects.filter(event_id__in=["e3", "e300", "e599"]).update(error_message="drift")
    UsageDay.objects.filter(account__external_id="a3").update(calls=F("calls") + 1)
    unbroken = _run_to_the_end()
    assert "4 differences" in unbroken[-1]

    for number in range(KILL_COUNT):
        _start_and_end(rng, signal.SIGKILL if number % 2 == 0 else signal.SIGTERM, resume=number > 0)
        assert LedgerCheckProgress.objects.count() == 1
    assert _run_to_the_end("--resume") == unbroken
    assert LedgerCheckProgress.objects.count() == 0


def test_resuming_without_an_unfinished_run_starts_from_the_beginning() -> None:
    record({})

    result = run("verify_ledger", "--resume")

    assert (result.status, result.lines[-1]) == (0, "9 rows compared, 0 differences.")
    assert "Nothing to continue; starting from the beginning." in result.err


def _start_and_end(rng: random.Random, signal_number: int, *, resume: bool) -> None:
    """Ends the command after some of its pages, at an arbitrary point of the next ones."""
    pages, delay = rng.randint(2, 8), rng.uniform(0, 0.05)
    children.report(f"signal {signal_number} {delay:.3f} s after page {pages}")
    child = _start(*(["--resume"] if resume else []))
    assert child.stderr is not None
    for _ in range(pages + resume):  # the first line of a continued run says where it continues
        assert child.stderr.readline()
    time.sleep(delay)
    child.send_signal(signal_number)
    child.communicate(timeout=60)
    assert child.returncode in (1, -signal_number)


def _run_to_the_end(*options: str) -> list[str]:
    """The closing lines: one per check, and the sum."""
    out, _ = (child := _start(*options)).communicate(timeout=60)
    assert child.returncode == 1  # there are differences
    return [line for line in str(out).splitlines() if "compared" in line]


def _start(*options: str) -> subprocess.Popen[str]:
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, *COMMAND, *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
