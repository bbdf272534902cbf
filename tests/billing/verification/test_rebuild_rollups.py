"""`rebuild_rollups`: what is off is put right by increments, and told; what is right is not touched."""

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

DAYS = tuple({"occurred_at": f"2026-10-{day:02}T00:00:00Z"} for day in range(1, 11))


def test_lost_and_drifted_rows_are_put_right() -> None:
    record(*DAYS)
    right = rollups()
    UsageDay.objects.filter(day__day__lte=5).delete()
    UsageModel.objects.update(cost_nano=F("cost_nano") - 7, calls=F("calls") + 1)
    PlatformDay.objects.filter(day__day=7).update(errors=3)

    end = run("rebuild_rollups")

    assert (end.status, end.lines[-1]) == (0, "21 rows compared, 7 put right.")
    assert rollups() == right
    assert run("verify_ledger").status == 0


def test_a_second_time_changes_nothing() -> None:
    record(*DAYS)

    assert run("rebuild_rollups").lines == ["21 rows compared, 0 put right."]


def test_a_dry_run_tells_and_changes_nothing() -> None:
    record(*DAYS)
    UsageDay.objects.all().delete()

    end = run("rebuild_rollups", "--dry-run")

    assert (end.status, end.lines[-1]) == (0, "21 rows compared, 10 to be put right.")
    assert UsageDay.objects.count() == 0


@pytest.mark.real_clock(reason="runs the command as a process beside itself")
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_at_once_put_right_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*DAYS)
    right = rollups()
    UsageDay.objects.update(cost_nano=F("cost_nano") - 7)
    compare = rollup_check._compare

    def rival(*arguments: Any) -> Any:
        part = compare(*arguments)
        monkeypatch.setattr(rollup_check, "_compare", compare)
        command = [sys.executable, "manage.py", "rebuild_rollups"]
        subprocess.run(command, cwd=ROOT, env=children.environment(), check=True, capture_output=True)
        return part

    monkeypatch.setattr(rollup_check, "_compare", rival)
    end = run("rebuild_rollups")

    assert (end.status, end.lines) == (0, ["21 rows compared, 0 put right."])
    assert rollups() == right
    assert run("verify_ledger").status == 0
