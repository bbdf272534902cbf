"""Logs of closed periods go into files and out of the log; totals, statements and the answers to repeats stay."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from billing.models import Account, Archive, ArchivedEvent, Statement, UsageLog, UsageModel
from billing.statements import statements
from tests.billing import archived_periods
from tests.billing.archived_periods import CALLS, DUE, HOUR, IN_OCTOBER, NOVEMBER, OCTOBER
from tests.billing.ledger_rows import assert_equal, record, rollups, run
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    return tmp_path / "archive"


def logs() -> list[str]:
    return sorted(UsageLog.objects.values_list("event_id", flat=True))


ALL = ["=1+1", "e0", "e1", "e2", "e4", "later"]


def test_a_closed_period_leaves_the_log_and_every_total_stays() -> None:
    archived_periods.october()
    before = rollups(), list(Statement.objects.values())

    assert archived_periods.run(DUE) == "0 logs of closed periods deleted"
    assert (logs(), archived_periods.states()) == (ALL, {"a": "exported", "b": "exported"})
    assert archived_periods.run(DUE + HOUR) == "5 logs of closed periods deleted"
    assert (logs(), archived_periods.states()) == (["later"], {"a": "deleted", "b": "deleted"})

    assert (rollups(), list(Statement.objects.values())) == before
    assert_equal()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 put right.")
    assert archived_periods.run(DUE + 2 * HOUR) == "0 logs of closed periods deleted"


def test_the_file_holds_every_column_but_personal_ones(folder: Path) -> None:
    archived_periods.october()
    stored = {log.event_id: log for log in UsageLog.objects.filter(usage_period=OCTOBER)}
    archived_periods.archive()

    account = Account.objects.get(external_id="a")
    path = folder / f"account-{account.pk}" / "2026-10-01.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["event_id"] for row in rows] == ["e0", "e1", "e2", "=1+1"]
    assert not {"ip_address", "user_agent"} & set(rows[0])
    assert {field.attname for field in UsageLog._meta.concrete_fields} - set(rows[0]) == {"ip_address", "user_agent"}
    third, fourth = rows[2], rows[3]
    log = stored["e2"]
    assert (third["id"], third["digest"], third["event_key"]) == (str(log.id), str(log.digest), str(log.event_key))
    assert (third["error_message"], third["status_code"]) == (archived_periods.ERROR, "503")
    assert (third["timestamp"], third["usage_day"]) == ("2026-10-20T12:00:00+00:00", "2026-10-20")
    assert (third["is_billable"], third["price_id"], third["cost_total"]) == ("true", "", "1000000000")
    assert fourth["metadata"] == '{"a":null,"b":[1,{"c":"ü"}]}'


def test_a_manifest_and_checksums_stand_beside_it(folder: Path) -> None:
    archived_periods.october()
    archived_periods.archive()

    one = Archive.objects.get(account__external_id="a")
    inside = folder / f"account-{one.account_id}"
    assert sorted(path.name for path in inside.iterdir()) == [
        "2026-10-01.csv.gz",
        "2026-10-01.json",
        "2026-10-01.sha256",
    ]
    manifest = json.loads((inside / "2026-10-01.json").read_text())
    assert (manifest["format"], manifest["account"], manifest["period"], manifest["logs"]) == (1, "a", "2026-10", 4)
    assert (manifest["sha256"], manifest["size"]) == (one.sha256, (inside / "2026-10-01.csv.gz").stat().st_size)
    assert manifest["starts_at"] == "2026-10-01 00:00:00+00:00"
    assert manifest["totals"] == {
        "calls": 4,
        "errors": 1,
        "tokens_total": 1009,
        "cost_nano": 3_500_000_000,
        "unpriced_calls": 1,
        "billable_calls": 4,
        "fallback_calls": 1,
        "tokens_input": 1007,
        "tokens_output": 2,
        "response_time_sum": 40,
    }
    assert manifest["left_out"] == ["ip_address", "user_agent"]
    checked = subprocess.check_output(["sha256sum", "--check", "2026-10-01.sha256"], cwd=inside, text=True)
    assert checked == "2026-10-01.csv.gz: OK\n2026-10-01.json: OK\n"
    assert (one.logs, one.deleted, one.offset) == (4, 4, one.size)


def test_a_repeat_of_an_archived_event_is_a_duplicate_and_other_content_a_conflict() -> None:
    first = archived_periods.october()
    archived_periods.archive()
    before = list(UsageModel.objects.filter(period=OCTOBER).values())

    assert [(one.status, one.log_id) for one in record(*CALLS)] == [("duplicate", one.log_id) for one in first]
    for again, once in zip(record(*CALLS), first, strict=True):
        assert (again.actual_provider, again.confidence) == (once.actual_provider, once.confidence)
        assert (again.cost_nano, again.priced) == (once.cost_nano, once.priced)
    changed = record({**CALLS[0], "cost_usd": "2"}, {"event_id": "fresh"})
    assert [one.status for one in changed] == ["conflict", "accepted"]
    assert changed[0].log_id == first[0].log_id
    assert logs() == ["fresh", "later"]
    assert ArchivedEvent.objects.count() == 5
    record({"account": "b", "event_id": "e0"})  # of another account: a new one
    assert len(logs()) == 3
    assert_equal()
    assert list(UsageModel.objects.filter(period=OCTOBER).values()) == before


@pytest.mark.parametrize("count", [60, 3])
def test_a_batch_of_archived_and_new_events(count: int) -> None:
    calls = [{"event_id": f"n{number}"} for number in range(count)]
    first = record(*calls, at=IN_OCTOBER)
    archived_periods.close()
    archived_periods.archive()

    mixed = [{"event_id": f"new{number}"} for number in range(count)] + calls
    results = record(*mixed)
    assert [one.status for one in results] == ["accepted"] * count + ["duplicate"] * count
    assert [one.log_id for one in results[count:]] == [one.log_id for one in first]
    assert UsageLog.objects.count() == count
    assert_equal()


@pytest.mark.parametrize(("days", "at"), [(0, DUE), (60, DUE - HOUR * 2), (61, DUE)])
def test_nothing_goes_before_its_time(days: int, at: Any, settings: Any, folder: Path) -> None:
    settings.KEEP_LOGS_DAYS = days
    archived_periods.october()
    archived_periods.archive(at)

    assert (logs(), Archive.objects.count(), folder.exists()) == (ALL, 0, False)
    assert not Account.objects.filter(has_archive=True).exists()


def test_logs_are_deleted_an_hour_after_their_file_was_found_right() -> None:
    archived_periods.october()
    archived_periods.run(DUE)
    assert archived_periods.run(DUE + HOUR * 0.9) == "0 logs of closed periods deleted"
    assert logs() == ALL


def test_the_hour_is_a_whole_one_however_long_ago_the_run_began_that_wrote_the_file() -> None:
    """`manage.py prune` may take half a day: its last file is a second old then, and the job comes every ten minutes."""
    archived_periods.october()
    late = DUE + HOUR * 3
    archived_periods.run(DUE, clock=late)
    assert archived_periods.run(late + HOUR * 0.9) == "0 logs of closed periods deleted"
    assert logs() == ALL
    assert archived_periods.run(late + HOUR) == "5 logs of closed periods deleted"


def test_what_is_not_closed_or_was_never_billed_stays() -> None:
    account = Account.objects.filter(external_id="a")
    record({"event_id": "now"}, at=IN_OCTOBER)
    record({"event_id": "history", "occurred_at": "2026-02-03T04:05:06Z"}, at=IN_OCTOBER)
    archived_periods.archive()
    assert (logs(), account.get().has_archive) == (["history", "now"], False)
    archived_periods.close()
    archived_periods.archive()
    assert logs() == ["history"]
    assert_equal()


def test_what_came_late_goes_with_the_period_in_which_it_counts() -> None:
    record({"event_id": "first"}, at=IN_OCTOBER)
    late = {"event_id": "late", "occurred_at": "2026-10-30T00:00:00Z"}
    record(late, {"event_id": "e1"}, at=archived_periods.IN_NOVEMBER)
    archived_periods.close()
    archived_periods.archive()
    assert logs() == ["e1", "late"]

    december = DUE.replace(year=2026, month=12, day=5)
    statements.close_due(december)
    archived_periods.archive(december + HOUR * 24 * 61)
    assert logs() == []
    assert Archive.objects.get(period=NOVEMBER).logs == 2
    assert [one.status for one in record(late)] == ["duplicate"]
    assert_equal()


def test_a_dry_run_says_what_would_go(clock: Clock) -> None:
    archived_periods.october()
    clock.move_to(DUE)
    end = run("prune", "--dry-run")
    assert end.lines[-2:] == ["5 logs of closed periods older than 60 days", "Nothing was changed."]
    assert (logs(), Archive.objects.count()) == (ALL, 0)

    run("prune")
    assert archived_periods.states() == {"a": "exported", "b": "exported"}
    clock.move_to(DUE + HOUR)
    assert run("prune").out.endswith("5 logs of closed periods.\n")
    assert run("prune", "--dry-run").lines[-2] == "0 logs of closed periods older than 60 days"


def test_files_of_accounts_are_apart_whatever_their_names_are(folder: Path) -> None:
    record({"account": ".."}, {"account": "A" * 128}, {"account": "a\\b"}, at=IN_OCTOBER)
    archived_periods.close()
    archived_periods.archive()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"account-{pk}" for pk in Account.objects.values_list("pk", flat=True)
    )
