"""Changing KEEP_LOGS_DAYS, sharing ARCHIVE_DIR, and files of the previous release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from billing.archive import archive_file, archive_job
from billing.corrections import corrections
from billing.models import Account, Archive, Installation, UsageLog
from lib import ids
from tests.billing import archived_periods
from tests.billing.archived_periods import DUE_AT, HOUR
from tests.billing.ledger_rows import assert_ledger_consistent, record, run

pytestmark = pytest.mark.django_db
NEW_COLUMNS = ("counts_at", "checksum")  # since format 2


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("days", [0, 400])
def test_a_claim_whose_deletion_has_not_begun_is_released(days: int, settings: Any, folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    assert len(files(folder)) == 6
    settings.KEEP_LOGS_DAYS = days
    assert archived_periods.run_job(DUE_AT + HOUR) == "0 logs of closed periods deleted"

    assert (Archive.objects.count(), files(folder), UsageLog.objects.count()) == (0, [], 6)
    assert not Account.objects.filter(has_archive=True).exists()
    log = UsageLog.objects.get(event_id="e0", account__external_id="a")
    corrections.void(log, reason="x", actor="ann", at=DUE_AT + HOUR)
    assert_ledger_consistent()
    settings.KEEP_LOGS_DAYS = 60
    archived_periods.export_and_delete(DUE_AT + 2 * HOUR)
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert_ledger_consistent()


@pytest.mark.parametrize("days", [0, 400, 10])
def test_a_deletion_that_has_begun_is_finished(
    days: int, settings: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_job, "LOGS_PER_PART", 2)
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    with monkeypatch.context() as patch:
        patch.setattr("lib.retention.delete_due.__kwdefaults__", {"batches": 1})
        assert archived_periods.run_job(DUE_AT + HOUR) == "2 logs of closed periods deleted"
    settings.KEEP_LOGS_DAYS = days
    for hours in (2, 3):
        archived_periods.run_job(DUE_AT + hours * HOUR)

    states = archived_periods.archive_states()
    assert states == ({"a": "deleted", "b": "deleted"} if days == 10 else {"a": "deleted"})
    left = sorted(UsageLog.objects.values_list("account__external_id", "event_id"))
    assert left == ([("a", "later")] if days == 10 else [("a", "later"), ("b", "e4")])
    assert len(files(folder)) == (6 if days == 10 else 3)
    assert_ledger_consistent()


def test_a_release_loses_against_a_deletion_that_begins_meanwhile(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    archive = Archive.objects.select_related("account").get(account__external_id="a")
    archived_periods.run_job(DUE_AT + HOUR)
    archive_job._release(archive)
    assert (Archive.objects.count(), len(files(folder))) == (2, 6)
    assert_ledger_consistent()


def test_two_installations_share_a_folder(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    Archive.objects.all().delete()
    Installation.objects.update(key=ids.new_id())  # another database, with accounts of the same ids
    archived_periods.export_and_delete(DUE_AT)
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert len(files(folder)) == 12
    assert len(list(folder.iterdir())) == 2


def test_a_file_of_a_copy_of_the_database_is_never_overwritten(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    Archive.objects.all().delete()  # the copy has not claimed these periods
    outcome = archived_periods.run_job(DUE_AT + HOUR)

    assert "2 failed: a 2026-10: 2026-10-01.csv.gz exists and belongs to another archive: " in outcome
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == contents
    assert UsageLog.objects.count() == 6
    for path in contents:
        path.unlink()
    archived_periods.export_and_delete(DUE_AT + 2 * HOUR)
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert_ledger_consistent()


def test_a_killed_run_replaces_its_own_file(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    Archive.objects.update(verified_at=None)  # as if it was killed after it had written the file
    archived_periods.export_and_delete(DUE_AT + HOUR)
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}


def export_as_previous_release(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exports October as format 1: fewer columns, directly in ARCHIVE_DIR. Returns the file of account `a`."""
    columns = tuple(column for column in archive_file.COLUMNS if column not in NEW_COLUMNS)
    with monkeypatch.context() as patch:
        patch.setattr(archive_file, "COLUMNS", columns)
        archived_periods.run_job(DUE_AT)
    for archive in Archive.objects.all():
        old_folder = folder / f"account-{archive.account_id}"
        archive_file.archive_path(archive).parent.rename(old_folder)
        manifest = json.loads((old_folder / "2026-10-01.json").read_text())
        del manifest["installation"], manifest["archive"]
        (old_folder / "2026-10-01.json").write_text(json.dumps(manifest | {"format": 1}))
    Archive.objects.update(folder="")
    return folder / f"account-{Account.objects.get(external_id='a').pk}" / "2026-10-01.csv.gz"


def test_a_file_of_the_previous_release_is_verified_and_its_logs_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived_periods.record_october()
    path = export_as_previous_release(folder, monkeypatch)
    assert not set(NEW_COLUMNS) & set(archive_file.read_columns(path))
    assert archived_periods.run_job(DUE_AT + HOUR) == "5 logs of closed periods deleted"
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert run("explain_charge", "a", "e0").err.endswith(f"see {path}.")
    assert [result.status for result in record(*archived_periods.OCTOBER_CALLS)] == ["duplicate"] * 5
    assert_ledger_consistent()


def test_a_claim_of_the_previous_release_is_written_into_the_new_folder(folder: Path) -> None:
    archived_periods.record_october()
    archive_job._claim(DUE_AT, lambda: DUE_AT, [])
    Archive.objects.update(folder="")
    archived_periods.export_and_delete()
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert (archived_periods.account_folder(folder) / "2026-10-01.csv.gz").exists()


def test_a_file_with_unknown_columns_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    monkeypatch.setattr(archive_file, "COLUMNS", archive_file.COLUMNS[:-1])
    outcome = archived_periods.run_job(DUE_AT + HOUR)
    assert outcome.startswith(
        "0 logs of closed periods deleted; 2 failed: a 2026-10: The file has no header with columns"
    )
    assert UsageLog.objects.count() == 6
