"""Archive jobs, killed with SIGKILL at random moments or run in parallel while a client repeats events, lose nothing."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from billing.corrections import corrections
from billing.models import ArchivedEvent, Statement, UsageLog
from tests.billing import archived_periods
from tests.billing.archived_periods import CLOSED_AT, IN_OCTOBER
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups
from tests.proof import children
from tests.proof.repeater import numbered_events

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes and kills them"),
]

LOG_COUNT, KILL_COUNT, VOID_COUNT = 300, 5, 7
MAX_DELAY_SECONDS = 0.05  # between a committed step and the kill


def test_a_killed_archive_job_ends_as_if_it_was_never_killed(settings: Any, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    log_ids = {result.event_id: str(result.id) for result in record(*numbered_events(LOG_COUNT), at=IN_OCTOBER)}
    _void(rng, IN_OCTOBER)
    archived_periods.close_periods()
    _void(rng, CLOSED_AT)
    before = rollups(), list(Statement.objects.values())

    with _start("repeater", str(seed), str(LOG_COUNT)) as client:
        for _ in range(KILL_COUNT):
            _run_and_kill(rng.randint(0, 5), rng.uniform(0, MAX_DELAY_SECONDS))
            assert UsageLog.objects.count() + ArchivedEvent.objects.count() == LOG_COUNT
            assert (rollups(), list(Statement.objects.values())) == before
            assert_ledger_consistent()
        with _start("archiver") as last, _start("archiver") as rival:
            for job in (last, rival):
                job.communicate(timeout=120)
        output, _ = client.communicate("end\n", timeout=120)

    assert (last.returncode, rival.returncode, client.returncode) == (0, 0, 0)
    assert {(event, status, log) for (event, status, log), _ in json.loads(output)} <= {
        (event, "duplicate", log) for event, log in log_ids.items()
    }
    assert (UsageLog.objects.count(), ArchivedEvent.objects.count()) == (0, LOG_COUNT)
    assert (rollups(), list(Statement.objects.values())) == before
    assert_ledger_consistent()
    assert _archived_ids(tmp_path) == sorted(log_ids.values())
    assert {(result.status, str(result.id)) for result in record(*numbered_events(LOG_COUNT))} == {
        ("duplicate", log) for log in log_ids.values()
    }


def _void(rng: random.Random, at: datetime) -> None:
    logs = list(UsageLog.objects.filter(voided_at=None).order_by("event_key"))
    for log in rng.sample(logs, VOID_COUNT):
        corrections.void(log, reason="x", actor="ann", at=at)


def _archived_ids(folder: Path) -> list[str]:
    """The ids of all logs in all archive files."""
    log_ids: list[str] = []
    for path in folder.rglob("*.csv.gz"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            log_ids += [row["id"] for row in csv.DictReader(file)]
    return sorted(log_ids)


def _run_and_kill(steps: int, delay: float) -> None:
    children.report(f"SIGKILL {delay:.3f} s after step {steps}")
    with _start("archiver") as child:
        assert child.stdout is not None
        for _ in range(steps):
            child.stdout.readline()
        time.sleep(delay)
        child.kill()


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    overrides = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "KEEP_LOGS_DAYS": "60",
        "ARCHIVE_DIR": str(django_settings.ARCHIVE_DIR),
    }
    command = [sys.executable, "-m", f"tests.proof.{module}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=children.environment() | overrides, text=True, stdin=pipe, stdout=pipe)
