"""The check and the import of a stored file: exact totals, one commit per step, stop, continue and discard."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError

from billing.errors import Refused
from billing.imports import import_job, import_preview, import_steps, import_totals, stored_files
from billing.imports.import_totals import ImportTotals, Refusal
from billing.models import Account, ImportedRange, UsageImport, UsageLog
from billing.recording import bulk_import
from lib import money
from tests.billing.imports import files
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON.isoformat())]
State = UsageImport.State
MIXED = files.csv(
    *files.calls([1, 2, 3]),
    "x1,a,openai,unheard-of-1,7,0,,2026-11-10T12:00:00Z",
    "x2,b,gemini,gemini-2.5-flash,1000000,0,,2026-11-10T12:00:00Z",
    "x3,a,openai,gpt-4o,minus,5,1,2026-11-10T12:00:00Z",
    "e1,a,openai,gpt-4o,10,5,1,2026-11-10T12:00:00Z",
    "x4,a,openai,gpt-4o,10,5,1,1999-11-10T12:00:00Z",
)


def totals_of(stored: object) -> list[tuple[object, ...]]:
    totals = ImportTotals.from_json(stored)  # type: ignore[arg-type]  # a JSON column
    return [
        (item.provider, item.model, *(getattr(item, name) for name in import_totals.COUNTERS))
        for item in totals.by_cost()
    ]


EXPECTED = [
    ("openai", "gpt-4o", 3, 45, 3 * money.NANO, 0, 1, 1),
    ("google", "gemini-2.5-flash", 1, 1_000_000, 300_000_000, 0, 0, 0),
    ("openai", "unheard-of-1", 1, 7, 0, 1, 0, 0),
    ("", "", 0, 0, 0, 0, 0, 1),
]


def test_a_check_adds_up_the_whole_file_and_stores_no_event() -> None:
    checked = files.check(files.store(MIXED))

    assert (checked.state, checked.position) == (State.CHECKED, 8)
    assert totals_of(checked.checked) == EXPECTED
    assert not UsageLog.objects.exists()
    assert not Account.objects.exists()
    assert not ImportedRange.objects.exists()


def test_an_import_stores_exactly_what_the_check_said(folder: Path) -> None:
    done = files.import_all(MIXED)

    assert (done.state, done.position, done.finished_at) == (State.FINISHED, 8, NOON)
    assert totals_of(done.imported) == EXPECTED == totals_of(done.checked)
    logs = UsageLog.objects.order_by("event_id").values_list("event_id", "effective_nano", "is_priced")
    assert list(logs) == [
        ("e1", money.NANO, True),
        ("e2", money.NANO, True),
        ("e3", money.NANO, True),
        ("x1", 0, False),
        ("x2", 300_000_000, True),
    ]
    assert list(folder.iterdir()) == []
    assert_ledger_consistent()


def test_refusals_name_line_and_field_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_totals, "MAX_REFUSALS", 1)
    totals = ImportTotals.from_json(files.check(files.store(MIXED)).checked)

    assert [(refusal.line, refusal.column) for refusal in totals.refusals] == [("7", "usage.input_tokens")]
    assert isinstance(totals.refusals[0], Refusal)
    assert totals.counts.refused == 2
    assert [count for _, count in totals.reasons()] == [1, 1]


def test_models_beyond_the_maximum_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_totals, "MAX_MODELS", 1)
    checked = files.check(files.store(MIXED))

    assert totals_of(checked.checked) == [
        ("openai", "gpt-4o", 3, 45, 3 * money.NANO, 0, 1, 1),
        ("other models", "", 2, 1_000_007, 300_000_000, 1, 0, 1),
    ]


def test_a_second_import_of_the_same_file_stores_nothing() -> None:
    files.import_all(MIXED)
    before = list(UsageLog.objects.order_by("id").values())
    again = files.import_all(MIXED)

    assert ImportTotals.from_json(again.imported).counts.statuses == {"duplicate": 6, "rejected": 2}
    assert list(UsageLog.objects.order_by("id").values()) == before
    assert not ImportedRange.objects.filter(usage_import=again).exists()


def test_rows_without_an_id_are_found_again_under_the_name_of_the_file() -> None:
    content = b"account,provider,model,cost_usd,occurred_at\na,openai,gpt-4o,1,2026-11-10T12:00:00Z\n"
    files.import_all(content, name="march.csv")
    files.import_all(content, name="march.csv")
    files.import_all(content, name="april.csv")

    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == ["april.csv:2", "march.csv:2"]


def test_the_preview_shows_the_first_rows_and_stores_nothing() -> None:
    preview = import_preview.load(files.store(MIXED), NOON)

    assert [row.result.status for row in preview.rows] == [
        *["accepted"] * 5,
        *("rejected", "duplicate", "rejected"),
    ]
    assert [row.result.cost_nano for row in preview.rows[:5]] == [money.NANO] * 3 + [None, 300_000_000]
    assert not UsageLog.objects.exists()


def test_each_step_commits_rows_totals_range_and_position_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    usage_import = files.check(files.store(files.csv(*files.calls(range(5)))))
    import_steps.start_import(usage_import)

    assert not import_steps.run(usage_import, seconds=0, clock=files.clock)
    stored = UsageImport.objects.get()
    assert (stored.state, stored.position) == (State.IMPORTING, 2)
    assert totals_of(stored.imported) == [("openai", "gpt-4o", 2, 30, 2 * money.NANO, 0, 0, 0)]
    assert UsageLog.objects.count() == 2

    assert import_job.run(NOON, files.clock) == "1 files in progress, 1 completed, 0 discarded"
    assert UsageImport.objects.get().state == State.FINISHED
    assert list(ImportedRange.objects.order_by("position").values_list("position", "logs")) == [(0, 2), (2, 2), (4, 1)]


def test_a_run_that_was_overtaken_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    usage_import = files.check(files.store(files.csv(*files.calls(range(4)))))
    import_steps.start_import(usage_import)
    late = UsageImport.objects.get()
    import_steps.run(usage_import, seconds=0, clock=files.clock)

    assert not import_steps.run(late, seconds=0, clock=files.clock)
    assert ImportedRange.objects.count() == 1
    assert totals_of(UsageImport.objects.get().imported)[0][2] == 2


def test_an_import_stops_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    usage_import = files.check(files.store(files.csv(*files.calls(range(5)))))
    import_steps.start_import(usage_import)
    import_steps.run(usage_import, seconds=0, clock=files.clock)

    assert import_steps.stop(usage_import)
    assert not import_steps.stop(usage_import)
    import_job.run(NOON, files.clock)
    assert (usage_import.state, UsageLog.objects.count()) == (State.STOPPED, 2)

    assert import_steps.resume(usage_import)
    import_job.run(NOON, files.clock)
    assert UsageImport.objects.get().state == State.FINISHED
    assert UsageLog.objects.count() == 5


def test_only_a_checked_file_is_imported_and_only_once() -> None:
    usage_import = files.store(MIXED)
    assert not import_steps.start_import(usage_import)
    files.check(usage_import)
    assert import_steps.start_import(usage_import)
    assert not import_steps.start_import(usage_import)
    assert not import_steps.start_check(usage_import, {})
    assert not import_steps.set_options(usage_import, {})
    assert not import_steps.discard(usage_import, NOON)


def test_an_error_stops_the_import_and_is_stored(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    usage_import = files.check(files.store(MIXED))
    import_steps.start_import(usage_import)
    next(folder.iterdir()).write_bytes(b"other")
    import_job.run(NOON, files.clock)

    usage_import.refresh_from_db()
    assert usage_import.state == State.STOPPED
    assert usage_import.trouble == "The stored file is missing or incomplete. Upload it again."
    assert not UsageLog.objects.exists()


def test_a_failed_step_stores_nothing_and_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    usage_import = files.check(files.store(MIXED))
    import_steps.start_import(usage_import)
    with monkeypatch.context() as patch:
        patch.setattr(import_steps, "_advance", _raise_full)
        import_job.run(NOON, files.clock)
    usage_import.refresh_from_db()
    assert (usage_import.state, usage_import.position) == (State.STOPPED, 0)
    assert not UsageLog.objects.exists()

    import_steps.resume(usage_import)
    import_job.run(NOON, files.clock)
    assert totals_of(UsageImport.objects.get().imported) == EXPECTED


def _raise_full(*_args: object, **_values: object) -> None:
    raise ValueError("no space left")


def test_a_database_that_does_not_answer_leaves_the_import_running(monkeypatch: pytest.MonkeyPatch) -> None:
    usage_import = files.check(files.store(MIXED))
    import_steps.start_import(usage_import)

    def fail(*_args: object, **_values: object) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(bulk_import, "record_batch", fail)
    with pytest.raises(OperationalError):
        import_job.run(NOON, files.clock)
    assert UsageImport.objects.get().state == State.IMPORTING


def test_a_discarded_file_is_deleted(folder: Path) -> None:
    usage_import = files.store(MIXED)
    assert len(list(folder.iterdir())) == 1
    assert import_steps.discard(usage_import, NOON)
    import_job.run(NOON, files.clock)
    assert list(folder.iterdir()) == []
    assert UsageImport.objects.get().state == State.DISCARDED


def test_an_undecided_file_is_discarded_after_a_week(folder: Path) -> None:
    files.store(MIXED)
    assert import_job.run(NOON + timedelta(days=6, hours=23), files.clock).endswith("0 discarded")
    assert import_job.run(NOON + timedelta(days=7), files.clock).endswith("1 discarded")
    assert list(folder.iterdir()) == []


def test_files_are_private_and_named_by_us(folder: Path) -> None:
    usage_import = files.store(MIXED, name="../../etc/\x07passwd.csv")
    (stored,) = folder.iterdir()

    assert stored.name == usage_import.stored_name
    assert "passwd" not in stored.name
    assert stored.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert usage_import.name == "../../etc/_passwd.csv"


@pytest.mark.parametrize(("name", "content"), [("usage.exe", MIXED), ("usage.csv", b"")])
def test_a_refused_file_leaves_nothing(folder: Path, name: str, content: bytes) -> None:
    with pytest.raises(Refused):
        files.store(content, name=name)
    assert not folder.exists() or list(folder.iterdir()) == []
    assert not UsageImport.objects.exists()


def test_only_some_files_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_files, "MAX_FILES", 1)
    usage_import = files.store(MIXED)
    with pytest.raises(Refused, match="1 files are waiting"):
        files.store(MIXED)
    import_steps.discard(usage_import, NOON)
    files.store(MIXED)


def test_an_event_of_another_sender_is_no_part_of_the_import() -> None:
    record({"event_id": "e2"}, at=NOON)
    done = files.import_all(files.csv(*files.calls([1, 2, 3])))

    assert ImportTotals.from_json(done.imported).counts.statuses == {"accepted": 2, "conflict": 1}
    assert ImportedRange.objects.get().logs == 2


def test_what_the_file_has_beside_events_is_counted() -> None:
    content = b"event_id,provider,cost_usd,Team,input_tokens\na,openai,-2.50,x,1\nb,openai,,y,\nc,openai,1,z,1\n"
    checked = files.check(files.store(content, account="a"))

    assert (checked.checked or {})["file"] == {
        "format": "Columns are fields of a usage event",
        "left_out": [["Team", "is not a field"]],
        "skipped": [["no usage", 1]],
        "credits": [["USD", 1, "-2.50"]],
    }
    assert ImportTotals.from_json(checked.checked).counts.statuses == {"accepted": 1, "rejected": 1}
