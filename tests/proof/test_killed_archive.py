"""The archive killed with SIGKILL at random moments, and two at once, while a client repeats what it sent: nothing is lost."""

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
from tests.billing.archived_periods import CLOSED, IN_OCTOBER
from tests.billing.ledger_rows import assert_equal, record, rollups
from tests.proof import children
from tests.proof.repeater import events_of

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes and kills them"),
]

LOGS, KILLS, VOIDED = 300, 5, 7
STEP = 0.05  # seconds after a step within which the next is killed


def test_a_killed_archive_ends_as_if_it_never_was(settings: Any, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.tell(f"seed {seed}")
    chance = random.Random(seed)
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    first = {one.event_id: str(one.id) for one in record(*events_of(LOGS), at=IN_OCTOBER)}
    _void(chance, IN_OCTOBER)
    archived_periods.close()
    _void(chance, CLOSED)
    before = rollups(), list(Statement.objects.values())

    with _start("repeater", str(seed), str(LOGS)) as client:
        for _ in range(KILLS):
            _killed(chance.randint(0, 5), chance.uniform(0, STEP))
            assert UsageLog.objects.count() + ArchivedEvent.objects.count() == LOGS
            assert (rollups(), list(Statement.objects.values())) == before
            assert_equal()
        with _start("archiver") as last, _start("archiver") as rival:
            for one in (last, rival):
                one.communicate(timeout=120)
        told, _ = client.communicate("end\n", timeout=120)

    assert (last.returncode, rival.returncode, client.returncode) == (0, 0, 0)
    assert {(event, status, log) for (event, status, log), _ in json.loads(told)} <= {
        (event, "duplicate", log) for event, log in first.items()
    }
    assert (UsageLog.objects.count(), ArchivedEvent.objects.count()) == (0, LOGS)
    assert (rollups(), list(Statement.objects.values())) == before
    assert_equal()
    assert _in_files(tmp_path) == sorted(first.values())
    assert {(one.status, str(one.id)) for one in record(*events_of(LOGS))} == {
        ("duplicate", log) for log in first.values()
    }


def _void(chance: random.Random, at: datetime) -> None:
    logs = list(UsageLog.objects.filter(voided_at=None).order_by("event_key"))
    for log in chance.sample(logs, VOIDED):
        corrections.void(log, reason="x", actor="ann", at=at)


def _in_files(folder: Path) -> list[str]:
    """The ids of all logs in all files."""
    found: list[str] = []
    for path in folder.rglob("*.csv.gz"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            found += [row["id"] for row in csv.DictReader(file)]
    return sorted(found)


def _killed(steps: int, moment: float) -> None:
    children.tell(f"SIGKILL {moment:.3f} s after step {steps}")
    with _start("archiver") as child:
        assert child.stdout is not None
        for _ in range(steps):
            child.stdout.readline()
        time.sleep(moment)
        child.kill()


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "KEEP_LOGS_DAYS": "60",
        "ARCHIVE_DIR": str(django_settings.ARCHIVE_DIR),
    }
    command = [sys.executable, "-m", f"tests.proof.{module}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=children.environment() | own, text=True, stdin=pipe, stdout=pipe)
