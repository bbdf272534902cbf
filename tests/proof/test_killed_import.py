"""An import and its void, killed with SIGKILL at random moments: complete when continued, and nothing counts twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from billing.imports import import_steps
from billing.imports.import_totals import ImportTotals
from billing.models import CorrectionBatch, ImportedRange, UsageAdjustment, UsageImport, UsageLog
from lib.money import NANO
from tests.billing.imports import files
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a command and kills it"),
]

ROW_COUNT, KILL_COUNT = 600, 3
MAX_DELAY_SECONDS = 0.15  # between a committed step and the kill


def test_a_killed_import_and_its_void_end_as_if_they_were_never_killed(settings: Settings, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    folder = files.use_folder(settings, tmp_path)
    record({"event_id": "e7", "usage": {"input_tokens": 1}}, {"event_id": "other"})
    before = rollups()
    rows = [row for n in range(ROW_COUNT) for row in files.calls([n], account=f"a{n % 3}" if n != 7 else "a")]
    usage_import = files.check(files.store(files.csv(*rows)))
    assert import_steps.start_import(usage_import)

    _run_and_kill_repeatedly(rng, folder, str(usage_import.pk))
    _run_to_the_end(folder, str(usage_import.pk))
    done = UsageImport.objects.get()
    assert (done.state, done.position) == (UsageImport.State.FINISHED, ROW_COUNT)
    totals = ImportTotals.from_json(done.imported)
    assert totals.counts.statuses == {"accepted": ROW_COUNT - 1, "conflict": 1}
    assert totals.total().cost_nano == (ROW_COUNT - 1) * NANO
    assert sum(ImportedRange.objects.values_list("logs", flat=True)) == ROW_COUNT - 1
    assert UsageLog.objects.count() == ROW_COUNT + 1

    _run_and_kill_repeatedly(rng, folder, str(usage_import.pk), "void")
    _run_to_the_end(folder, str(usage_import.pk), "void")
    batch = CorrectionBatch.objects.get()
    assert (batch.logs, batch.delta_nano, batch.skipped) == (ROW_COUNT - 1, -(ROW_COUNT - 1) * NANO, 0)
    assert batch.finished_at is not None
    assert UsageAdjustment.objects.count() == ROW_COUNT - 1
    assert set(UsageLog.objects.filter(voided_at=None).values_list("event_id", flat=True)) == {"e7", "other"}
    assert rollups() == before


def _run_and_kill_repeatedly(rng: random.Random, folder: Path, *arguments: str) -> None:
    for _ in range(KILL_COUNT):
        steps, delay = rng.randint(1, 4), rng.uniform(0, MAX_DELAY_SECONDS)
        children.report(f"SIGKILL {delay:.3f} s after step {steps}{' of the void' if arguments[1:] else ''}")
        child = _start(folder, *arguments)
        assert child.stdout is not None
        for _ in range(steps):
            assert child.stdout.readline() == "step\n"
        time.sleep(delay)
        child.kill()
        child.communicate()
        assert_ledger_consistent()


def _run_to_the_end(folder: Path, *arguments: str) -> None:
    child = _start(folder, *arguments)
    child.communicate(timeout=120)
    assert child.returncode == 0
    assert_ledger_consistent()


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.importer", *arguments]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings", "IMPORT_DIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
