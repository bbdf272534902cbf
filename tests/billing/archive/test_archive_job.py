"""The archive job moves logs of closed periods to files; totals, statements and responses to repeats stay the same."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from billing.archive import archive_file
from billing.models import Account, Archive, ArchivedEvent, Installation, Statement, UsageLog, UsageModel
from billing.statements import statements
from tests.billing import archived_periods
from tests.billing.archived_periods import DUE_AT, HOUR, IN_OCTOBER, NOVEMBER, OCTOBER, OCTOBER_CALLS
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups, run
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    return tmp_path / "archive"


def event_ids() -> list[str]:
    return sorted(UsageLog.objects.values_list("event_id", flat=True))


ALL_EVENT_IDS = ["=1+1", "e0", "e1", "e2", "e4", "later"]


def test_logs_of_a_closed_period_are_archived_and_all_totals_stay() -> None:
    archived_periods.record_october()
    before = rollups(), list(Statement.objects.values())

    assert archived_periods.run_job(DUE_AT) == "0 logs of closed periods deleted"
    assert (event_ids(), archived_periods.archive_states()) == (ALL_EVENT_IDS, {"a": "exported", "b": "exported"})
    assert archived_periods.run_job(DUE_AT + HOUR) == "5 logs of closed periods deleted"
    assert (event_ids(), archived_periods.archive_states()) == (["later"], {"a": "deleted", "b": "deleted"})

    assert (rollups(), list(Statement.objects.values())) == before
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")
    assert archived_periods.run_job(DUE_AT + 2 * HOUR) == "0 logs of closed periods deleted"


def test_the_file_has_every_column_except_personal_ones(folder: Path) -> None:
    archived_periods.record_october()
    stored = {log.event_id: log for log in UsageLog.objects.filter(usage_period=OCTOBER)}
    archived_periods.export_and_delete()

    path = archived_periods.account_folder(folder) / "2026-10-01.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["event_id"] for row in rows] == ["e0", "e1", "e2", "=1+1"]
    assert not {"ip_address", "user_agent"} & set(rows[0])
    assert {field.attname for field in UsageLog._meta.concrete_fields} - set(rows[0]) == {"ip_address", "user_agent"}
    e2_row, last_row = rows[2], rows[3]
    log = stored["e2"]
    assert (e2_row["id"], e2_row["digest"], e2_row["event_key"]) == (str(log.id), str(log.digest), str(log.event_key))
    assert (e2_row["error_message"], e2_row["status_code"]) == (archived_periods.ERROR_MESSAGE, "503")
    assert (e2_row["timestamp"], e2_row["usage_day"]) == ("2026-10-20T12:00:00+00:00", "2026-10-20")
    assert (e2_row["is_billable"], e2_row["price_id"], e2_row["cost_total"]) == ("true", "", "1000000000")
    assert last_row["metadata"] == '{"a":null,"b":[1,{"c":"ü"}]}'


def test_a_manifest_and_checksums_are_written_next_to_the_file(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.export_and_delete()

    archive = Archive.objects.get(account__external_id="a")
    account_folder = archived_periods.account_folder(folder)
    assert account_folder == folder / str(Installation.objects.get().key) / f"account-{archive.account_id}"
    assert sorted(path.name for path in account_folder.iterdir()) == [
        "2026-10-01.csv.gz",
        "2026-10-01.json",
        "2026-10-01.sha256",
    ]
    manifest = json.loads((account_folder / "2026-10-01.json").read_text())
    assert (manifest["format"], manifest["account"], manifest["period"], manifest["logs"]) == (2, "a", "2026-10", 4)
    assert (manifest["installation"], manifest["archive"]) == (str(Installation.objects.get().key), str(archive.pk))
    assert (manifest["sha256"], manifest["size"]) == (
        archive.sha256,
        (account_folder / "2026-10-01.csv.gz").stat().st_size,
    )
    assert manifest["starts_at"] == "2026-10-01 00:00:00+00:00"
    assert manifest["totals"] == {
        "calls": 4,
        "errors": 1,
        "tokens_total": 1009,
        "cost_nano": 3_500_000_000,
        "unpriced_calls": 1,
        "estimated_calls": 0,
        "billable_calls": 4,
        "fallback_calls": 1,
        "tokens_input": 1007,
        "tokens_output": 2,
        "response_time_sum": 40,
    }
    assert manifest["left_out"] == ["ip_address", "user_agent"]
    output = subprocess.check_output(["sha256sum", "--check", "2026-10-01.sha256"], cwd=account_folder, text=True)
    assert output == "2026-10-01.csv.gz: OK\n2026-10-01.json: OK\n"
    assert (archive.logs, archive.deleted, archive.offset) == (4, 4, archive.size)


def test_a_repeat_of_an_archived_event_is_a_duplicate_and_changed_content_a_conflict() -> None:
    originals = archived_periods.record_october()
    archived_periods.export_and_delete()
    before = list(UsageModel.objects.filter(period=OCTOBER).values())

    assert [(result.status, result.log_id) for result in record(*OCTOBER_CALLS)] == [
        ("duplicate", result.log_id) for result in originals
    ]
    for repeat, original in zip(record(*OCTOBER_CALLS), originals, strict=True):
        assert (repeat.actual_provider, repeat.confidence) == (original.actual_provider, original.confidence)
        assert (repeat.cost_nano, repeat.priced) == (original.cost_nano, original.priced)
    changed = record({**OCTOBER_CALLS[0], "cost_usd": "2"}, {"event_id": "fresh"})
    assert [result.status for result in changed] == ["conflict", "accepted"]
    assert changed[0].log_id == originals[0].log_id
    assert event_ids() == ["fresh", "later"]
    assert ArchivedEvent.objects.count() == 5
    record({"account": "b", "event_id": "e0"})  # the same id in another account is a new event
    assert len(event_ids()) == 3
    assert_ledger_consistent()
    assert list(UsageModel.objects.filter(period=OCTOBER).values()) == before


@pytest.mark.parametrize("count", [60, 3])
def test_a_batch_may_mix_archived_and_new_events(count: int) -> None:
    calls = [{"event_id": f"n{number}"} for number in range(count)]
    originals = record(*calls, at=IN_OCTOBER)
    archived_periods.close_periods()
    archived_periods.export_and_delete()

    mixed = [{"event_id": f"new{number}"} for number in range(count)] + calls
    results = record(*mixed)
    assert [result.status for result in results] == ["accepted"] * count + ["duplicate"] * count
    assert [result.log_id for result in results[count:]] == [result.log_id for result in originals]
    assert UsageLog.objects.count() == count
    assert_ledger_consistent()


@pytest.mark.parametrize(("days", "at"), [(0, DUE_AT), (60, DUE_AT - HOUR * 2), (61, DUE_AT)])
def test_nothing_is_archived_before_it_is_due(days: int, at: Any, settings: Any, folder: Path) -> None:
    settings.KEEP_LOGS_DAYS = days
    archived_periods.record_october()
    archived_periods.export_and_delete(at)

    assert (event_ids(), Archive.objects.count(), folder.exists()) == (ALL_EVENT_IDS, 0, False)
    assert not Account.objects.filter(has_archive=True).exists()


def test_logs_are_not_deleted_within_an_hour_of_verifying_their_file() -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    assert archived_periods.run_job(DUE_AT + HOUR * 0.9) == "0 logs of closed periods deleted"
    assert event_ids() == ALL_EVENT_IDS


def test_the_hour_starts_when_the_file_is_written_and_not_when_the_run_starts() -> None:
    """`manage.py prune` may run for half a day, while the job runs every ten minutes."""
    archived_periods.record_october()
    late = DUE_AT + HOUR * 3
    archived_periods.run_job(DUE_AT, clock=late)
    assert archived_periods.run_job(late + HOUR * 0.9) == "0 logs of closed periods deleted"
    assert event_ids() == ALL_EVENT_IDS
    assert archived_periods.run_job(late + HOUR) == "5 logs of closed periods deleted"


def test_logs_of_open_periods_are_kept() -> None:
    account = Account.objects.filter(external_id="a")
    record({"event_id": "now"}, at=IN_OCTOBER)
    archived_periods.export_and_delete()
    assert (event_ids(), account.get().has_archive) == (["now"], False)
    archived_periods.close_periods()
    archived_periods.export_and_delete()
    assert event_ids() == []
    assert_ledger_consistent()


def test_late_events_are_archived_with_the_period_in_which_they_count() -> None:
    record({"event_id": "first"}, at=IN_OCTOBER)
    late = {"event_id": "late", "occurred_at": "2026-10-30T00:00:00Z"}
    record(late, {"event_id": "e1"}, at=archived_periods.IN_NOVEMBER)
    archived_periods.close_periods()
    archived_periods.export_and_delete()
    assert event_ids() == ["e1", "late"]

    december = DUE_AT.replace(year=2026, month=12, day=5)
    statements.close_due(december)
    archived_periods.export_and_delete(december + HOUR * 24 * 61)
    assert event_ids() == []
    assert Archive.objects.get(period=NOVEMBER).logs == 2
    assert [result.status for result in record(late)] == ["duplicate"]
    assert_ledger_consistent()


def test_a_dry_run_reports_what_would_be_deleted(clock: Clock) -> None:
    archived_periods.record_october()
    clock.move_to(DUE_AT)
    result = run("prune", "--dry-run")
    assert result.lines[-2:] == ["5 logs of closed periods older than 60 days", "Nothing was changed."]
    assert (event_ids(), Archive.objects.count()) == (ALL_EVENT_IDS, 0)

    run("prune")
    assert archived_periods.archive_states() == {"a": "exported", "b": "exported"}
    clock.move_to(DUE_AT + HOUR)
    assert run("prune").out.endswith("5 logs of closed periods.\n")
    assert run("prune", "--dry-run").lines[-2] == "0 logs of closed periods older than 60 days"


def test_each_account_has_its_own_folder_whatever_its_name(folder: Path) -> None:
    record({"account": ".."}, {"account": "A" * 128}, {"account": "a\\b"}, at=IN_OCTOBER)
    archived_periods.close_periods()
    archived_periods.export_and_delete()
    (installation,) = folder.iterdir()
    assert sorted(path.name for path in installation.iterdir()) == sorted(
        f"account-{pk}" for pk in Account.objects.values_list("pk", flat=True)
    )


def test_a_file_of_the_previous_release_is_verified_by_its_own_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no usage state, reason, calls or reading: its logs are deleted all the same, and repeats are answered."""
    added = {"usage_state", "unpriced_reason", "calls", "reading", "resolved"}
    archived_periods.record_october()
    UsageLog.objects.update(unpriced_reason=None)
    with monkeypatch.context() as patch:
        patch.setattr(archive_file, "COLUMNS", tuple(name for name in archive_file.COLUMNS if name not in added))
        archived_periods.run_job(DUE_AT)

    assert archived_periods.run_job(DUE_AT + HOUR) == "5 logs of closed periods deleted"
    assert set(ArchivedEvent.objects.values_list("usage_state", "unpriced_reason")) == {("complete", None)}
    repeat = record({**OCTOBER_CALLS[1], "event_id": "e1"}, at=DUE_AT + 2 * HOUR)[0]
    assert (repeat.status, repeat.usage_state, repeat.unpriced_reason) == ("duplicate", "complete", "price_unknown")
    assert_ledger_consistent()
