"""Everything at once: a dozen processes at a clock 600 times as fast, over period borders in twelve zones, killed at random.

Ingest, reserve, settle (also into the past), void, revert, re-price, redetect, rebuild, archive, changes of subscriptions and
schedules, closing, sweeps and checks run until CHAOS_SECONDS (real ones) are over. `make proof` runs ten minutes on each
database and behind PgBouncer.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection

from tests.proof import children, pooler
from tests.proof.chaos import world

SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
POOLED = os.environ.get("CHAOS_POOLER") == "transaction"
ROLES = (
    "ingest",
    "ingest",
    "ingest",
    "reserve",
    "reserve",
    "reserve",
    "correct",
    "correct",
    "subscribe",
    "work",
    "check",
)
MUST_BE_ZERO = (
    *("accepted twice", "missing", "never sent", "over a cap", "ledger differences", "differences while it ran"),
    *("fee differences", "errors"),
)
pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a dozen processes and kills them"),
]


def test_nothing_is_lost_counted_twice_overspent_or_owed_wrongly_when_all_happens_at_once(tmp_path: Path) -> None:
    world.create()
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}, {SECONDS:g} s on {connection.vendor}{', behind PgBouncer' * POOLED}")
    with ExitStack() as stack:
        environment = children.environment() | world.VARIABLES
        environment |= {"ARCHIVE_DIR": str(tmp_path / "archive")}
        if POOLED:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pooler-")))
            url = stack.enter_context(pooler.running(folder, "transaction"))
            environment |= {"DATABASE_URL": url, "DATABASE_POOLER": "transaction"}
        kills = _run(environment, tmp_path, random.Random(seed))
        answer = json.loads(_outcome(environment, tmp_path))
    children.report(f"{kills} processes killed; {answer['outcome']}; refused: {answer['refusals']}")
    assert {name: answer["outcome"][name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0), answer["details"]
    happened = (
        "acknowledged",
        "closed periods",
        *(("reservations", "adjustments", "statements") if SECONDS > 60 else ()),
    )
    assert min(answer["outcome"][name] for name in happened) > 0


def _run(environment: dict[str, str], folder: Path, rng: random.Random) -> int:
    """Keep one process of each role running, and kill one at a random moment again and again. Returns the number of kills."""
    processes = [_start(number, rng, environment, folder) for number in range(len(ROLES))]
    try:
        while sum(kind == "ready" for kind, _ in world.entries(folder)) < len(processes):
            time.sleep(0.2)
        world.start_clock(folder)
        return _kill_repeatedly(processes, environment, folder, rng)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _kill_repeatedly(
    processes: list[subprocess.Popen[bytes]], environment: dict[str, str], folder: Path, rng: random.Random
) -> int:
    start, kills = time.monotonic(), 0
    while (left := start + SECONDS - time.monotonic()) > 0:
        time.sleep(min(rng.uniform(0.3, 4.0), left))
        victim = rng.randrange(len(ROLES))
        assert processes[victim].poll() is None, f"{ROLES[victim]} ended by itself"
        processes[victim].send_signal(signal.SIGKILL)
        processes[victim].wait()
        kills += 1
        children.report(f"{time.monotonic() - start:.3f} s: SIGKILL for {ROLES[victim]} {victim}")
        processes[victim] = _start(victim, rng, environment, folder)
    return kills


def _start(number: int, rng: random.Random, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    seed = str(rng.randrange(10**9))
    arguments = [ROLES[number], f"{ROLES[number]}{number}", seed, str(folder)]
    command = [sys.executable, "-m", "tests.proof.chaos.actors", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _outcome(environment: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "tests.proof.chaos.outcome", str(folder)]
    completed = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    assert completed.returncode == 0
    return completed.stdout
