"""The archive job reports what stops it and loses no logs: corrections, damaged files, totals that differ."""

from __future__ import annotations

import errno
import fcntl
import gzip
import subprocess
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from billing.archive import archive_file, archive_job
from billing.corrections import corrections
from billing.errors import Refused
from billing.limits import operations, reservations
from billing.limits.operations import Operation
from billing.limits.reservations import ReservationRequest
from billing.models import (
    Account,
    Archive,
    CorrectionBatch,
    Statement,
    UsageAdjustment,
    UsageDay,
    UsageLog,
    UsageReservation,
)
from billing.recording.metered_call import metered_call
from lib import gzip_parts
from tests.billing import archived_periods
from tests.billing.archived_periods import CLOSED_AT, DUE_AT, HOUR, IN_OCTOBER, OCTOBER_CALLS
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, clear_detection, record, rollups, run, set_price
from tests.billing.plan_limits import set_limits
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    return tmp_path / "archive"


def file_path(folder: Path, account: str = "a") -> Path:
    return archived_periods.account_folder(folder, account) / "2026-10-01.csv.gz"


def void(event_id: str, at: datetime) -> UsageAdjustment:
    log = UsageLog.objects.get(event_id=event_id, account__external_id="a")
    corrections.void(log, reason="x", actor="ann", at=at)
    return UsageAdjustment.objects.get(kind="void", log=log, reverted_by=None)


def test_corrections_before_and_after_closing_are_archived_with_their_logs() -> None:
    record(*OCTOBER_CALLS, at=IN_OCTOBER)
    early_void = void("e0", IN_OCTOBER)
    archived_periods.close_periods()
    void("e2", CLOSED_AT)
    corrections.revert_adjustment(early_void, reason="x", actor="ann", at=CLOSED_AT)
    set_price("brand-new-1", input_tokens="5")
    run("reprice")
    assert_ledger_consistent()
    before = rollups(), list(Statement.objects.values()), list(UsageAdjustment.objects.order_by("id").values())

    archived_periods.export_and_delete()
    assert UsageLog.objects.count() == 0
    assert (
        rollups(),
        list(Statement.objects.values()),
        list(UsageAdjustment.objects.order_by("id").values()),
    ) == before
    assert_ledger_consistent()


def test_drift_in_totals_of_archived_logs_is_reported_and_repaired() -> None:
    archived_periods.record_october()
    archived_periods.export_and_delete()
    expected = rollups()
    UsageDay.objects.filter(account__external_id="a", day="2026-10-20", category="search").update(calls=F("calls") + 3)

    assert "calls is 4, should be 1" in run("verify_ledger").out
    run("rebuild_rollups")
    assert rollups() == expected
    assert_ledger_consistent()


def test_a_period_cannot_be_corrected_once_its_archive_has_begun(service: Api) -> None:
    archived_periods.record_october()
    set_price("brand-new-1", input_tokens="5")
    batch = run("reprice", "--reason", "first").lines[-1].partition("Batch ")[2].rstrip(".")
    archived_periods.run_job(DUE_AT)
    before = list(UsageLog.objects.order_by("id").values()), UsageAdjustment.objects.count()

    log = UsageLog.objects.get(event_id="e0", account__external_id="a")
    response = service.post(f"usage/logs/{log.pk}/void/", {"reason": "late"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (409, "archived")
    set_price("brand-new-1", input_tokens="9")
    assert run("reprice", "--model", "brand-new-1").status == 0
    result = run("reprice", "--revert", batch)
    assert (result.status, "1 skipped: its period is being archived" in result.out) == (1, True), result.out
    assert CorrectionBatch.objects.get(pk=batch).reverted_at is None
    with pytest.raises(corrections.NotReverted, match="its period is being archived"):
        corrections.revert_adjustment(UsageAdjustment.objects.get(kind="reprice"), reason="x", actor="ann", at=DUE_AT)
    assert (list(UsageLog.objects.order_by("id").values()), UsageAdjustment.objects.count()) == before

    archived_periods.run_job(DUE_AT + HOUR)
    with pytest.raises(corrections.NotReverted, match="its period is archived"):
        corrections.revert_adjustment(UsageAdjustment.objects.get(kind="reprice"), reason="x", actor="ann", at=DUE_AT)
    assert service.get(f"usage/logs/{log.pk}/").status_code == 404
    assert_ledger_consistent()


def _differing_totals() -> Callable[[], object]:
    UsageDay.objects.filter(account__external_id="a").update(cost_nano=F("cost_nano") + 1)
    return lambda: run("rebuild_rollups")


def _another_statement() -> Callable[[], object]:
    statement = Statement.objects.filter(account__external_id="a")
    statement.update(calls=F("calls") + 1)
    return lambda: statement.update(calls=F("calls") - 1)


def _nameless() -> Callable[[], object]:
    clear_detection(event_id="e2")
    return lambda: run("backfill_actual_providers")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _differing_totals,
            "The logs do not add up to the totals. Run `manage.py verify_ledger` for details.",
        ),
        (
            _another_statement,
            "The logs do not add up to the statement. Run `manage.py verify_ledger` for details.",
        ),
        (_nameless, "Some logs have no detected provider. Run `manage.py backfill_actual_providers`."),
    ],
)
def test_an_inconsistent_period_is_not_archived_until_it_is_repaired(
    spoil: Callable[[], Callable[[], object]], message: str, folder: Path
) -> None:
    archived_periods.record_october()
    repair = spoil()

    outcome = archived_periods.run_job(DUE_AT)
    assert outcome == f"0 logs of closed periods deleted; 1 failed: a 2026-10: {message}"
    assert archived_periods.archive_states() == {"a": message, "b": "exported"}
    assert list(file_path(folder).parent.iterdir()) == []
    assert archived_periods.run_job(DUE_AT + HOUR).startswith("1 logs of closed periods deleted; 1 failed: a 2026-10: ")
    assert UsageLog.objects.filter(account__external_id="a").count() == 5

    repair()
    assert archived_periods.run_job(DUE_AT + 2 * HOUR) == "0 logs of closed periods deleted"
    assert archived_periods.run_job(DUE_AT + 3 * HOUR) == "4 logs of closed periods deleted"
    assert_ledger_consistent()


def test_failed_archives_do_not_block_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_job, "MAX_RETRIES", 1)
    names = ("t0", "t1", "t2", "t3", "well")
    record(*({"account": name} for name in names), at=IN_OCTOBER)
    archived_periods.close_periods()
    UsageDay.objects.exclude(account__external_id="well").update(calls=F("calls") + 1)
    monkeypatch.setattr("lib.retention.delete_due.__kwdefaults__", {"batches": 3})

    for hours in range(4):
        outcome = archived_periods.run_job(DUE_AT + hours * HOUR)
    assert archived_periods.archive_states()["well"] == "deleted"
    assert "; 4 failed: " in outcome
    run("rebuild_rollups")
    for hours in range(4, 30):
        archived_periods.run_job(DUE_AT + hours * HOUR)
    assert archived_periods.archive_states() == dict.fromkeys(names, "deleted")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # in the CRC of the last part
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
def test_logs_are_kept_while_their_file_is_damaged_or_missing(damage: Callable[[Path], object], folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    path = file_path(folder)
    content = path.read_bytes()
    damage(path)

    assert archived_periods.run_job(DUE_AT + HOUR).startswith("1 logs of closed periods deleted; 1 failed: a 2026-10: ")
    assert UsageLog.objects.filter(account__external_id="a").count() == 5
    assert "file" in archived_periods.archive_states()["a"]
    path.write_bytes(content)
    assert archived_periods.run_job(DUE_AT + HOUR) == "4 logs of closed periods deleted"


def _replace_next_part(content: bytes) -> Callable[[Path], object]:
    """Replaces the next part of the file with foreign content."""

    def damage(path: Path) -> None:
        offset = Archive.objects.get(account__external_id="a").offset
        path.write_bytes(path.read_bytes()[:offset] + gzip.compress(content))

    return damage


FOREIGN_CONTENTS = (b"\xff", b"\r\n", b"no id\r\n", b"x" * (1 << 21))
MESSAGES = {
    _cut: "The file ends in the middle of a part.",
    _flip: "A part of the file cannot be read.",
    **{_replace_next_part(content): "The file has rows without a log id." for content in FOREIGN_CONTENTS},
}


@pytest.mark.parametrize("damage", MESSAGES)
def test_each_part_is_checked_before_its_logs_are_deleted(
    damage: Callable[[Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_job, "LOGS_PER_PART", 2)
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    with monkeypatch.context() as patch:
        patch.setattr("lib.retention.delete_due.__kwdefaults__", {"batches": 1})
        assert archived_periods.run_job(DUE_AT + HOUR) == "2 logs of closed periods deleted"
    damage(file_path(folder))

    assert archived_periods.run_job(DUE_AT + HOUR).startswith("1 logs of closed periods deleted; 1 failed: a 2026-10: ")
    assert archived_periods.archive_states()["a"] == MESSAGES[damage]
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == ["=1+1", "e2", "later"]
    assert_ledger_consistent(without=("archives",))


def test_logs_that_differ_from_the_file_are_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_job, "LOGS_PER_PART", 2)
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    UsageLog.objects.filter(event_id="e2").update(endpoint="/moved/by/hand")

    archived_periods.run_job(DUE_AT + HOUR)
    assert archived_periods.archive_states()["a"].endswith(" on differ from the file.")
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == ["=1+1", "e2", "later"]
    assert (
        Archive.objects.get(account__external_id="a").deleted,
        Archive.objects.get(account__external_id="b").deleted,
    ) == (2, 1)
    assert_ledger_consistent(without=("api_usage_logs",))


def test_metadata_longer_than_the_default_limit_of_a_csv_reader_is_archived() -> None:
    """PostgreSQL writes out numbers such as 1e308, so the 4 KiB that a client may send become 200 KiB."""
    archived_periods.record_october()
    UsageLog.objects.filter(event_id="e0", account__external_id="a").update(metadata={"n": [10**308] * 680})
    archived_periods.export_and_delete()
    assert archived_periods.archive_states() == {"a": "deleted", "b": "deleted"}
    assert UsageLog.objects.count() == 1
    assert_ledger_consistent()


def test_addresses_may_be_erased_between_export_and_deletion() -> None:
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    UsageLog.objects.update(ip_address="", user_agent="")
    assert archived_periods.run_job(DUE_AT + HOUR) == "5 logs of closed periods deleted"


def test_a_folder_that_cannot_be_created_is_reported(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.ARCHIVE_DIR = str(tmp_path / "file")
    archived_periods.record_october()
    archived_periods.run_job(DUE_AT)
    assert "Not a directory" in archived_periods.archive_states()["a"]
    assert UsageLog.objects.count() == 6


def test_a_full_disk_leaves_no_partial_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    archived_periods.record_october()
    monkeypatch.setattr(gzip_parts, "_write_part", raise_disk_full)
    archived_periods.run_job(DUE_AT)
    assert "No space left" in archived_periods.archive_states()["a"]
    assert list(file_path(folder).parent.iterdir()) == []


def test_a_file_that_another_process_is_writing_is_left_alone(folder: Path) -> None:
    archived_periods.record_october()
    path = file_path(folder)
    path.parent.mkdir(parents=True)
    with path.with_name("2026-10-01.csv.gz.partial").open("w") as partial_file:
        fcntl.flock(partial_file, fcntl.LOCK_EX)
        archived_periods.run_job(DUE_AT)
        assert archived_periods.archive_states() == {"a": "pending", "b": "pending"}
    archived_periods.run_job(DUE_AT)
    assert archived_periods.archive_states() == {"a": "exported", "b": "exported"}


def test_a_second_runner_writes_nothing_while_the_first_writes_manifest_and_checksums(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived_periods.record_october()
    write_atomically = archive_file._write_atomically
    archive_job._claim(DUE_AT, lambda: DUE_AT, [])
    archive = Archive.objects.select_related("account").get(account__external_id="a")
    second_results: list[int | None] = []

    def write_with_second_runner(path: Path, text: str) -> None:
        if len(second_results) < 2:  # once for the manifest and once for the checksums
            second_results.append(0)
            second_results[-1] = archive_job._attempt(
                archive, partial(archive_job._write_file, archive, lambda: DUE_AT)
            )
        write_atomically(path, text)

    monkeypatch.setattr(archive_file, "_write_atomically", write_with_second_runner)
    archived_periods.run_job(DUE_AT)
    assert (second_results, archived_periods.archive_states()) == ([None, None], {"a": "exported", "b": "exported"})
    account_folder = file_path(folder).parent
    output = subprocess.check_output(["sha256sum", "--check", "2026-10-01.sha256"], cwd=account_folder, text=True)
    assert output == "2026-10-01.csv.gz: OK\n2026-10-01.json: OK\n"


def test_a_repeat_of_an_archived_event_settles_its_reservation() -> None:
    set_limits({})
    archived_periods.record_october()
    archived_periods.export_and_delete()
    call = operations.convert({"provider": "openai", "model": "gpt-4o"}, Operation)
    reservations.reserve(Account.objects.get(external_id="a"), ReservationRequest("r1", [call], 900), NOON)

    (repeat,) = record({**OCTOBER_CALLS[0], "reservation_id": "r1"})
    assert (repeat.status, UsageReservation.objects.get().state) == ("duplicate", "settled")
    assert UsageLog.objects.count() == 1
    assert_ledger_consistent()


def test_a_repeat_over_http_returns_the_first_response(service: Api, clock: Clock) -> None:
    event = {"event_id": "once", "account": "a", "provider": "tavily", "category": "search"}
    clock.move_to(IN_OCTOBER)
    first = service.post("usage/", event)
    assert first.status_code == 201
    archived_periods.close_periods()
    archived_periods.export_and_delete()

    clock.move_to(DUE_AT + 2 * HOUR)
    repeat, changed = service.post("usage/", event), service.post("usage/", {**event, "status_code": 500})
    assert (repeat.status_code, repeat.json()) == (200, {**first.json(), "status": "duplicate"})
    assert (changed.status_code, changed.json()["errors"][0]["code"]) == (409, "event_conflict")
    assert UsageLog.objects.count() == 0
    assert_ledger_consistent()


def test_a_metered_call_with_an_archived_event_id_does_not_run() -> None:
    archived_periods.record_october()
    archived_periods.export_and_delete()
    with pytest.raises(Refused, match="stored already"), metered_call(account="a", event_id="e0", provider="openai"):
        raise AssertionError("it ran")
