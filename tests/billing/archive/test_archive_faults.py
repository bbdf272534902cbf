"""What stands in an archive's way is told, and nothing is lost by it: corrections, damaged files, figures that differ."""

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
from billing.limits.reservations import Wanted
from billing.models import Account, Archive, Statement, UsageAdjustment, UsageDay, UsageLog, UsageReservation
from billing.recording.metered_call import metered_call
from lib import gzip_parts
from tests.billing import archived_periods
from tests.billing.archived_periods import CALLS, CLOSED, DUE, HOUR, IN_OCTOBER
from tests.billing.caps import cap
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, run, set_price, unnamed
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    return tmp_path / "archive"


def file_of(folder: Path, account: str = "a") -> Path:
    return folder / f"account-{Account.objects.get(external_id=account).pk}" / "2026-10-01.csv.gz"


def void(event_id: str, at: datetime) -> UsageAdjustment:
    log = UsageLog.objects.get(event_id=event_id, account__external_id="a")
    corrections.void(log, reason="x", actor="ann", at=at)
    return UsageAdjustment.objects.get(kind="void", log=log, reverted_by=None)


def test_corrections_of_before_and_after_the_closing_go_with_their_logs() -> None:
    record(*CALLS, at=IN_OCTOBER)
    early = void("e0", IN_OCTOBER)
    archived_periods.close()
    void("e2", CLOSED)
    corrections.revert_one(early, reason="x", actor="ann", at=CLOSED)
    set_price("brand-new-1", input_tokens="5")
    run("reprice")
    assert_equal()
    before = rollups(), list(Statement.objects.values()), list(UsageAdjustment.objects.order_by("id").values())

    archived_periods.archive()
    assert UsageLog.objects.count() == 0
    assert (
        rollups(),
        list(Statement.objects.values()),
        list(UsageAdjustment.objects.order_by("id").values()),
    ) == before
    assert_equal()


def test_drift_of_totals_whose_logs_are_archived_is_found_and_put_right() -> None:
    archived_periods.october()
    archived_periods.archive()
    right = rollups()
    UsageDay.objects.filter(account__external_id="a", day="2026-10-20", category="search").update(calls=F("calls") + 3)

    assert "calls is 4, should be 1" in run("verify_ledger").out
    run("rebuild_rollups")
    assert rollups() == right
    assert_equal()


def test_nothing_corrects_a_period_once_its_archive_is_begun(service: Api) -> None:
    archived_periods.october()
    set_price("brand-new-1", input_tokens="5")
    batch = run("reprice", "--reason", "first").lines[-1].partition("Batch ")[2].rstrip(".")
    archived_periods.run(DUE)
    before = list(UsageLog.objects.order_by("id").values()), UsageAdjustment.objects.count()

    log = UsageLog.objects.get(event_id="e0", account__external_id="a")
    answer = service.post(f"usage/logs/{log.pk}/void/", {"reason": "late"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "archived")
    set_price("brand-new-1", input_tokens="9")
    assert run("reprice", "--model", "brand-new-1").status == 0
    end = run("reprice", "--revert", batch)
    assert (end.status, "1 skipped" in end.out) == (0, True), end.out
    with pytest.raises(corrections.NotReverted, match="archived with its period"):
        corrections.revert_one(UsageAdjustment.objects.get(kind="reprice"), reason="x", actor="ann", at=DUE)
    assert (list(UsageLog.objects.order_by("id").values()), UsageAdjustment.objects.count()) == before

    archived_periods.run(DUE + HOUR)
    with pytest.raises(corrections.NotReverted, match="archived with its period"):
        corrections.revert_one(UsageAdjustment.objects.get(kind="reprice"), reason="x", actor="ann", at=DUE)
    assert service.get(f"usage/logs/{log.pk}/").status_code == 404
    assert_equal()


def _differing_totals() -> Callable[[], object]:
    UsageDay.objects.filter(account__external_id="a").update(cost_nano=F("cost_nano") + 1)
    return lambda: run("rebuild_rollups")


def _another_statement() -> Callable[[], object]:
    mine = Statement.objects.filter(account__external_id="a")
    mine.update(calls=F("calls") + 1)
    return lambda: mine.update(calls=F("calls") - 1)


def _nameless() -> Callable[[], object]:
    unnamed(event_id="e2")
    return lambda: run("backfill_actual_providers")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_differing_totals, "Its logs do not add up to its totals: `manage.py verify_ledger` tells the differences."),
        (
            _another_statement,
            "Its logs do not add up to its statement: `manage.py verify_ledger` tells the differences.",
        ),
        (_nameless, "It has logs not yet detected: `manage.py backfill_actual_providers` names them."),
    ],
)
def test_a_period_that_is_not_right_is_not_archived_until_it_is(
    spoil: Callable[[], Callable[[], object]], message: str, folder: Path
) -> None:
    archived_periods.october()
    mend = spoil()

    told = archived_periods.run(DUE)
    assert told == "0 logs of closed periods deleted; 1 archives do not go on: *Archives* in the admin tells why."
    assert archived_periods.states() == {"a": message, "b": "exported"}
    assert list(file_of(folder).parent.iterdir()) == []
    assert archived_periods.run(DUE + HOUR).startswith("1 logs of closed periods deleted; 1 archives")
    assert UsageLog.objects.filter(account__external_id="a").count() == 5

    mend()
    assert archived_periods.run(DUE + 2 * HOUR) == "0 logs of closed periods deleted"
    assert archived_periods.run(DUE + 3 * HOUR) == "4 logs of closed periods deleted"
    assert_equal()


def test_many_that_are_held_up_leave_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_job, "AGAIN", 1, raising=False)
    names = ("t0", "t1", "t2", "t3", "well")
    record(*({"account": name} for name in names), at=IN_OCTOBER)
    archived_periods.close()
    UsageDay.objects.exclude(account__external_id="well").update(calls=F("calls") + 1)
    monkeypatch.setattr("lib.retention.run.__kwdefaults__", {"batches": 3})

    for hours in range(4):
        told = archived_periods.run(DUE + hours * HOUR)
    assert archived_periods.states()["well"] == "deleted"
    assert told.endswith("; 4 archives do not go on: *Archives* in the admin tells why.")
    run("rebuild_rollups")
    for hours in range(4, 30):
        archived_periods.run(DUE + hours * HOUR)
    assert archived_periods.states() == dict.fromkeys(names, "deleted")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
def test_a_file_that_is_damaged_or_gone_keeps_the_logs(damage: Callable[[Path], object], folder: Path) -> None:
    archived_periods.october()
    archived_periods.run(DUE)
    path = file_of(folder)
    content = path.read_bytes()
    damage(path)

    assert archived_periods.run(DUE + HOUR).startswith("1 logs of closed periods deleted; 1 archives")
    assert UsageLog.objects.filter(account__external_id="a").count() == 5
    assert "file" in archived_periods.states()["a"]
    path.write_bytes(content)
    assert archived_periods.run(DUE + HOUR) == "4 logs of closed periods deleted"


def _other(content: bytes) -> Callable[[Path], object]:
    """Another file's part, where the next one should be."""

    def damage(path: Path) -> None:
        offset = Archive.objects.get(account__external_id="a").offset
        path.write_bytes(path.read_bytes()[:offset] + gzip.compress(content))

    return damage


OTHERS = [_other(b"\xff"), _other(b"\r\n"), _other(b"no id\r\n"), _other(b"x" * (1 << 21))]


@pytest.mark.parametrize("damage", [_cut, _flip, *OTHERS])
def test_each_part_is_looked_at_before_its_logs_go(
    damage: Callable[[Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_job, "PART", 2)
    archived_periods.october()
    archived_periods.run(DUE)
    with monkeypatch.context() as patch:
        patch.setattr("lib.retention.run.__kwdefaults__", {"batches": 1})
        assert archived_periods.run(DUE + HOUR) == "2 logs of closed periods deleted"
    damage(file_of(folder))

    assert archived_periods.run(DUE + HOUR).startswith("1 logs of closed periods deleted; 1 archives")
    assert archived_periods.states()["a"].startswith("The file ")
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == ["=1+1", "e2", "later"]
    assert_equal()


def test_a_log_that_differs_from_the_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_job, "PART", 2)
    archived_periods.october()
    archived_periods.run(DUE)
    UsageLog.objects.filter(event_id="e2").update(endpoint="/moved/by/hand")

    archived_periods.run(DUE + HOUR)
    assert archived_periods.states()["a"].endswith(" on are not those of the file.")
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == ["=1+1", "e2", "later"]
    assert (
        Archive.objects.get(account__external_id="a").deleted,
        Archive.objects.get(account__external_id="b").deleted,
    ) == (2, 1)
    assert_equal()


def test_metadata_may_be_longer_than_a_csv_reader_takes_by_default() -> None:
    """PostgreSQL writes numbers out: from the 4 KiB that a client may send, it makes 200."""
    archived_periods.october()
    UsageLog.objects.filter(event_id="e0", account__external_id="a").update(metadata={"n": [10**308] * 680})
    archived_periods.archive()
    assert archived_periods.states() == {"a": "deleted", "b": "deleted"}
    assert UsageLog.objects.count() == 1
    assert_equal()


def test_addresses_that_are_erased_in_between_make_no_difference() -> None:
    archived_periods.october()
    archived_periods.run(DUE)
    UsageLog.objects.update(ip_address="", user_agent="")
    assert archived_periods.run(DUE + HOUR) == "5 logs of closed periods deleted"


def test_a_folder_that_cannot_be_written_is_told(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.ARCHIVE_DIR = str(tmp_path / "file")
    archived_periods.october()
    archived_periods.run(DUE)
    assert "Not a directory" in archived_periods.states()["a"]
    assert UsageLog.objects.count() == 6


def test_a_full_disk_leaves_no_part_of_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    archived_periods.october()
    monkeypatch.setattr(gzip_parts, "_add", full)
    archived_periods.run(DUE)
    assert "No space left" in archived_periods.states()["a"]
    assert list(file_of(folder).parent.iterdir()) == []


def test_a_file_that_another_process_is_writing_is_left_to_it(folder: Path) -> None:
    archived_periods.october()
    path = file_of(folder)
    path.parent.mkdir(parents=True)
    with path.with_name("2026-10-01.csv.gz.partial").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        archived_periods.run(DUE)
        assert archived_periods.states() == {"a": "begun", "b": "begun"}
    archived_periods.run(DUE)
    assert archived_periods.states() == {"a": "exported", "b": "exported"}


def test_a_second_runner_waits_for_the_manifest_and_its_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived_periods.october()
    put = archive_file._put
    archive_job._claim(DUE, DUE)
    one = Archive.objects.select_related("account").get(account__external_id="a")
    second: list[int | None] = []

    def slowly(path: Path, text: str) -> None:
        if len(second) < 2:  # of the manifest and of the checksums, which come next
            second.append(0)
            second[-1] = archive_job._tried(one, partial(archive_job._write, one))
        put(path, text)

    monkeypatch.setattr(archive_file, "_put", slowly)
    archived_periods.run(DUE)
    assert (second, archived_periods.states()) == ([None, None], {"a": "exported", "b": "exported"})
    inside = file_of(folder).parent
    checked = subprocess.check_output(["sha256sum", "--check", "2026-10-01.sha256"], cwd=inside, text=True)
    assert checked == "2026-10-01.csv.gz: OK\n2026-10-01.json: OK\n"


def test_a_repeat_of_an_archived_event_frees_the_room_that_it_names() -> None:
    archived_periods.october()
    archived_periods.archive()
    cap({})
    call = operations.converted({"provider": "openai", "model": "gpt-4o"}, Operation)
    reservations.reserve(Account.objects.get(external_id="a"), Wanted("r1", [call], 900), NOW)

    (again,) = record({**CALLS[0], "reservation_id": "r1"})
    assert (again.status, UsageReservation.objects.get().state) == ("duplicate", "settled")
    assert UsageLog.objects.count() == 1
    assert_equal()


def test_a_repeat_over_http_has_the_first_answer(service: Api, clock: Clock) -> None:
    event = {"event_id": "once", "account": "a", "provider": "tavily", "category": "search"}
    clock.move_to(IN_OCTOBER)
    first = service.post("usage/", event)
    assert first.status_code == 201
    archived_periods.close()
    archived_periods.archive()

    clock.move_to(DUE + 2 * HOUR)
    again, other = service.post("usage/", event), service.post("usage/", {**event, "status_code": 500})
    assert (again.status_code, again.json()) == (200, {**first.json(), "status": "duplicate"})
    assert (other.status_code, other.json()["errors"][0]["code"]) == (409, "event_conflict")
    assert UsageLog.objects.count() == 0
    assert_equal()


def test_a_metered_call_under_an_archived_id_does_not_run() -> None:
    archived_periods.october()
    archived_periods.archive()
    with pytest.raises(Refused, match="stored already"), metered_call(account="a", event_id="e0", provider="openai"):
        raise AssertionError("it ran")
