"""`rebuild_rollups` repairs wrong rollup rows by increments, counts them, and leaves correct rows untouched."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.db.models import F

from billing.models import PlatformDay, UsageDay, UsageModel
from billing.verification import rollup_check
from tests.billing.ledger_rows import record, rollups, run
from tests.conftest import ROOT
from tests.proof import children

pytestmark = pytest.mark.django_db

CALLS_ON_TEN_DAYS = tuple({"occurred_at": f"2026-10-{day:02}T00:00:00Z"} for day in range(1, 11))


def test_missing_and_wrong_rows_are_repaired() -> None:
    record(*CALLS_ON_TEN_DAYS)
    expected = rollups()
    UsageDay.objects.filter(day__day__lte=5).delete()
    UsageModel.objects.update(cost_nano=F("cost_nano") - 7, calls=F("calls") + 1)
    PlatformDay.objects.filter(day__day=7).update(errors=3)

    result = run("rebuild_rollups")

    assert (result.status, result.lines[-1]) == (0, "21 rows compared, 7 corrected.")
    assert rollups() == expected
    assert run("verify_ledger").status == 0


def test_correct_rollups_are_unchanged() -> None:
    record(*CALLS_ON_TEN_DAYS)

    assert run("rebuild_rollups").lines == ["21 rows compared, 0 corrected."]


def test_a_dry_run_reports_the_count_and_changes_nothing() -> None:
    record(*CALLS_ON_TEN_DAYS)
    UsageDay.objects.all().delete()

    result = run("rebuild_rollups", "--dry-run")

    assert (result.status, result.lines[-1]) == (0, "21 rows compared, 10 would be corrected.")
    assert UsageDay.objects.count() == 0


@pytest.mark.real_clock(reason="runs the command as a process beside itself")
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_concurrent_rebuilds_correct_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*CALLS_ON_TEN_DAYS)
    expected = rollups()
    UsageDay.objects.update(cost_nano=F("cost_nano") - 7)
    compare = rollup_check.compare

    def compare_then_rebuild(*arguments: Any) -> Any:
        part = compare(*arguments)
        monkeypatch.setattr(rollup_check, "compare", compare)
        command = [sys.executable, "manage.py", "rebuild_rollups"]
        subprocess.run(command, cwd=ROOT, env=children.environment(), check=True, capture_output=True)
        return part

    monkeypatch.setattr(rollup_check, "compare", compare_then_rebuild)
    result = run("rebuild_rollups")

    assert (result.status, result.lines) == (0, ["21 rows compared, 0 corrected."])
    assert rollups() == expected
    assert run("verify_ledger").status == 0
