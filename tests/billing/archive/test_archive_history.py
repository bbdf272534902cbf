"""Imported history and closed periods without a statement are archived by age."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.archive import due_periods
from billing.corrections import corrections
from billing.errors import Refused
from billing.models import Account, Archive, ArchivedEvent, ClosedPeriod, Statement, UsageLog
from tests.billing import archived_periods
from tests.billing.archived_periods import HOUR, IN_OCTOBER
from tests.billing.ledger_rows import assert_ledger_consistent, record, rollups, run
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

FEBRUARY, MARCH = date(2026, 2, 1), date(2026, 3, 1)
DUE_AT = datetime(2026, 4, 30, 0, 0, 1, tzinfo=UTC)  # 60 days and a second after the end of February
HISTORY = (
    {"event_id": "h0", "occurred_at": "2026-02-03T04:05:06Z"},
    {"event_id": "h1", "occurred_at": "2026-02-28T23:59:59Z", "cost_usd": "2"},
    {"event_id": "h2", "occurred_at": "2026-03-01T00:00:00Z"},
)
IMPORTED_AT = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    return tmp_path


def record_history() -> None:
    record(*HISTORY, at=IMPORTED_AT)
    Account.objects.update(billed_from=MARCH)


def event_ids() -> list[str]:
    return sorted(UsageLog.objects.values_list("event_id", flat=True))


def test_history_is_archived_when_its_period_is_old_enough() -> None:
    record_history()
    before = rollups()
    archived_periods.run_job(DUE_AT - timedelta(seconds=2))
    assert Archive.objects.count() == 0

    assert archived_periods.run_job(DUE_AT) == "0 logs of closed periods deleted"
    assert archived_periods.run_job(DUE_AT + HOUR) == "2 logs of closed periods deleted"
    assert event_ids() == ["h2"]  # of the first period that is billed
    archive = Archive.objects.get()
    assert (archive.period, archive.logs, archive.state) == (FEBRUARY, 2, "deleted")
    assert (Statement.objects.count(), ClosedPeriod.objects.count()) == (0, 0)
    assert rollups() == before
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")


def test_a_dry_run_counts_history(clock: Clock) -> None:
    record_history()
    clock.move_to(DUE_AT)
    assert run("prune", "--dry-run").lines[-2] == "2 logs of closed periods older than 60 days"
    archived_periods.export_and_delete(DUE_AT)
    clock.move_to(DUE_AT + HOUR)
    assert run("prune", "--dry-run").lines[-2] == "0 logs of closed periods older than 60 days"


def test_history_is_claimed_before_it_is_written_and_its_corrections_count() -> None:
    record_history()
    corrections.void(UsageLog.objects.get(event_id="h0"), reason="x", actor="ann", at=IMPORTED_AT)
    archived_periods.run_job(DUE_AT)
    with pytest.raises(Refused, match="archived"):
        corrections.void(UsageLog.objects.get(event_id="h1"), reason="x", actor="ann", at=DUE_AT)
    archived_periods.run_job(DUE_AT + HOUR)
    assert event_ids() == ["h2"]
    assert_ledger_consistent()


@pytest.mark.parametrize("hours", [0, 1, 2])
def test_history_imported_into_an_archived_period_is_kept_and_repeats_stay_duplicates(hours: int) -> None:
    """Imported after the file was written, after the logs were deleted, or later: it stays in the database."""
    record_history()
    for hour in range(hours + 1):
        archived_periods.run_job(DUE_AT + hour * HOUR)
    new = {"event_id": "h3", "occurred_at": "2026-02-14T00:00:00Z", "cost_usd": "4"}
    results = record(*HISTORY, new, at=DUE_AT + hours * HOUR)
    assert [result.status for result in results] == ["duplicate"] * 3 + ["accepted"]
    for hour in range(hours + 1, hours + 4):
        assert "failed" not in archived_periods.run_job(DUE_AT + hour * HOUR)

    assert event_ids() == ["h2", "h3"]
    assert sorted(ArchivedEvent.objects.values_list("cost_total", flat=True)) == [10**9, 2 * 10**9]
    assert [result.status for result in record(*HISTORY, new)] == ["duplicate"] * 4
    assert Archive.objects.get().state == "deleted"
    assert_ledger_consistent()
    corrections.void(UsageLog.objects.get(event_id="h3"), reason="x", actor="ann", at=DUE_AT + 5 * HOUR)
    assert UsageLog.objects.get(event_id="h3").effective_nano == 0
    assert_ledger_consistent()


def test_a_closed_period_whose_calls_were_all_voided_is_archived() -> None:
    record({"event_id": "v0"}, {"event_id": "v1"}, at=IN_OCTOBER)
    for log in UsageLog.objects.all():
        corrections.void(log, reason="x", actor="ann", at=IN_OCTOBER)
    archived_periods.close_periods()
    assert (Statement.objects.count(), ClosedPeriod.objects.count()) == (0, 1)
    archived_periods.export_and_delete()
    assert (event_ids(), archived_periods.archive_states()) == ([], {"a": "deleted"})
    assert_ledger_consistent()


def test_history_of_an_account_with_an_unknown_zone_is_reported_and_the_others_are_archived() -> None:
    record(*({**call, "account": name} for name in ("a0", "a1", "a2") for call in HISTORY[:2]), at=IMPORTED_AT)
    Account.objects.filter(external_id="a1").update(timezone="Mars/Olympus")
    outcome = archived_periods.run_job(DUE_AT)
    assert outcome.startswith("0 logs of closed periods deleted; ")
    assert "a1: ZoneInfoNotFoundError" in outcome
    assert archived_periods.run_job(DUE_AT + HOUR).startswith("4 logs of closed periods deleted; ")
    assert set(UsageLog.objects.values_list("account__external_id", flat=True)) == {"a1"}


@pytest.mark.parametrize("broken", ["a0", "a1", "a2"])
def test_other_accounts_are_archived_beside_a_broken_one(broken: str) -> None:
    names = ("a0", "a1", "a2")
    record(*({"account": name} for name in names), at=IN_OCTOBER)
    archived_periods.close_periods()
    Account.objects.filter(external_id=broken).update(timezone="Mars/Olympus")
    outcome = archived_periods.run_job(archived_periods.DUE_AT)
    assert outcome.startswith(f"0 logs of closed periods deleted; 1 failed: {broken} 2026-10: ZoneInfoNotFoundError")
    assert archived_periods.run_job(archived_periods.DUE_AT + HOUR).startswith("2 logs of closed periods deleted; 1 f")
    states = archived_periods.archive_states()
    assert {name for name, state in states.items() if state == "deleted"} == set(names) - {broken}
    Account.objects.filter(external_id=broken).update(timezone="UTC")
    archived_periods.export_and_delete(archived_periods.DUE_AT + 2 * HOUR)
    assert set(archived_periods.archive_states().values()) == {"deleted"}


def test_many_accounts_are_searched_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_periods, "PAGE_SIZE", 2)
    monkeypatch.setattr(due_periods, "MAX_PERIODS", 3)
    names = [f"a{number}" for number in range(5)]
    record(*({**HISTORY[0], "account": name} for name in names), at=IMPORTED_AT)
    archived_periods.export_and_delete(DUE_AT)
    archived_periods.run_job(DUE_AT + 2 * HOUR)
    assert archived_periods.archive_states() == dict.fromkeys(names, "deleted")
