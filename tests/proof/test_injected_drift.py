"""Drift of many kinds, injected into a ledger with something of everything: the check finds each kind and names its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.billing.ledger_rows import differences
from tests.frozen_clock import Clock
from tests.proof import children, drift_in_statements, drift_in_totals, drift_in_usage, drift_ledger
from tests.proof.drifts import Drift

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(drift_ledger.TODAY)]

DRIFTS = (*drift_in_usage.DRIFTS, *drift_in_totals.DRIFTS, *drift_in_statements.DRIFTS)
MIN_KINDS = 60


def test_every_kind_of_injected_drift_is_reported_at_its_row(clock: Clock, tmp_path: Path, settings: Any) -> None:
    drift_ledger.build(clock, tmp_path, settings)
    assert list(map(str, differences())) == []

    missed = [line for drift in DRIFTS if (line := _missed(drift, tmp_path))]

    children.report(f"{len(DRIFTS) - len(missed)} of {len(DRIFTS)} kinds found")
    children.report("\n".join(missed))
    assert missed == []
    assert differences() == []


def test_the_kinds_have_distinct_names() -> None:
    assert len({drift.name for drift in DRIFTS}) == len(DRIFTS) > MIN_KINDS


def _missed(drift: Drift, folder: Path) -> str:
    """Injects one kind and takes it back. "" if the check names the row, else what it found instead."""
    files = {path: path.read_bytes() for path in folder.rglob("*.gz")}
    savepoint = transaction.savepoint()
    key = drift.inject()
    reported = differences()
    transaction.savepoint_rollback(savepoint)
    for path, content in files.items():
        path.write_bytes(content)
    if any(row.table == drift.table and row.key[: len(key)] == key for row in reported):
        return ""
    return f"{drift.name}: {drift.table} {key}, but found {list(map(str, reported))}"
