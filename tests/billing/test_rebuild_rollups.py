"""`rebuild_rollups`: what is off is put right by increments, and told; what is right is not touched."""

from __future__ import annotations

import pytest
from django.db.models import F

from billing.models import PlatformDay, UsageDay, UsageModel
from tests.billing.ledger_rows import record, rollups, run

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
