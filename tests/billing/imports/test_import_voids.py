"""The void of an import: all of its calls and no others, once, resumable, and revertible as a batch."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from billing.corrections import batch_progress, corrections, import_voids
from billing.corrections.import_voids import VoidableCalls
from billing.errors import Refused
from billing.imports import import_steps
from billing.imports.import_totals import ImportTotals
from billing.jobs import finish_corrections
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageImport, UsageLog
from lib import money
from tests.billing import closed_october
from tests.billing.imports import files
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups
from tests.frozen_clock import Clock

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON.isoformat())]


def values() -> dict[str, tuple[int, bool]]:
    logs = UsageLog.objects.values_list("event_id", "effective_nano", "voided_at")
    return {event: (nano, voided is not None) for event, nano, voided in logs}


def start(usage_import: UsageImport, at: datetime = NOON) -> CorrectionBatch:
    return import_voids.start(usage_import, reason="wrong file", actor="operator", at=at)


def void(usage_import: UsageImport) -> CorrectionBatch:
    batch = start(usage_import)
    assert batch_progress.continue_batch(batch, clock=files.clock)
    batch.refresh_from_db()
    return batch


def test_all_calls_of_the_import_are_voided_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    record({"event_id": "before"}, {"event_id": "e2", "usage": {"input_tokens": 10, "output_tokens": 5}})
    rows = [*files.calls([1, 2]), *files.calls([3], account="b"), *files.calls([4])]
    done = files.import_all(files.csv(*rows))
    record({"event_id": "after"})

    assert import_voids.summarize(done) == VoidableCalls(3, 3, 3 * money.NANO, 0, True)
    batch = void(done)

    assert (batch.logs, batch.delta_nano, batch.skipped) == (3, -3 * money.NANO, 0)
    assert batch.finished_at == NOON
    live, voided = (money.NANO, False), (0, True)
    assert values() == {"before": live, "after": live, "e2": live, "e1": voided, "e3": voided, "e4": voided}
    assert_ledger_consistent()
    assert import_voids.summarize(done) == VoidableCalls(0, 0, 0, 0, True)


def test_a_second_void_changes_nothing() -> None:
    done = files.import_all(files.csv(*files.calls([1, 2])))
    batch = void(done)
    before = values(), rollups(), list(UsageAdjustment.objects.values("id"))

    assert start(done, NOON + timedelta(hours=1)) == batch
    assert list(import_voids.run(batch, size=500, clock=files.clock)) == []
    assert (values(), rollups(), list(UsageAdjustment.objects.values("id"))) == before
    assert CorrectionBatch.objects.count() == 1
    assert_ledger_consistent()


def test_a_call_that_was_voided_before_stays_as_it_is() -> None:
    done = files.import_all(files.csv(*files.calls([1, 2])))
    corrections.void(UsageLog.objects.get(event_id="e1"), reason="test call", actor="operator", at=NOON)

    assert import_voids.summarize(done) == VoidableCalls(1, 1, money.NANO, 0, True)
    assert void(done).logs == 1
    assert UsageAdjustment.objects.count() == 2
    assert_ledger_consistent()


def test_a_stopped_void_is_finished_by_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    done = files.import_all(files.csv(*files.calls(range(5))))
    batch = start(done)
    next(import_voids.run(batch, size=500, clock=files.clock))
    batch.refresh_from_db()
    assert (batch.logs, batch.finished_at) == (2, None)

    assert finish_corrections(NOON + timedelta(minutes=10), files.clock) == "1 batches continued"
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch.finished_at) == (5, -5 * money.NANO, NOON)
    assert_ledger_consistent()


def test_a_reverted_void_can_be_repeated() -> None:
    done = files.import_all(files.csv(*files.calls([1, 2])))
    before = rollups()
    first = void(done)
    assert batch_progress.revert(first, actor="operator", clock=files.clock)
    assert values() == {"e1": (money.NANO, False), "e2": (money.NANO, False)}
    assert rollups() == before

    done.refresh_from_db()
    second = void(done)
    assert second != first
    assert second.logs == 2
    assert_ledger_consistent()


def test_an_import_that_may_go_on_or_created_nothing_cannot_be_voided() -> None:
    usage_import = files.check(files.store(files.csv(*files.calls([1]))))
    for act in (lambda: None, lambda: import_steps.start_import(usage_import)):
        act()
        with pytest.raises(Refused):
            start(usage_import)
    import_steps.run(usage_import, seconds=9, clock=files.clock)
    again = files.import_all(files.csv(*files.calls([1])))
    with pytest.raises(Refused):
        start(again)
    assert not CorrectionBatch.objects.exists()


def test_what_a_discarded_import_had_stored_can_be_voided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    usage_import = files.check(files.store(files.csv(*files.calls(range(5)))))
    import_steps.start_import(usage_import)
    import_steps.run(usage_import, seconds=0, clock=files.clock)
    import_steps.stop(usage_import)
    import_steps.discard(usage_import, NOON)

    assert void(usage_import).logs == 2
    assert_ledger_consistent()


def test_only_some_ranges_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    monkeypatch.setattr(import_voids, "MAX_SUMMED_RANGES", 1)
    done = files.import_all(files.csv(*files.calls(range(5))))
    assert import_voids.summarize(done) == VoidableCalls(2, 2, 2 * money.NANO, 0, False)


@pytest.mark.frozen_at("2026-10-01T12:00")
def test_calls_of_a_closed_period_are_adjusted_in_the_next(account: Account, clock: Clock) -> None:
    clock.move_to("2026-10-20T12:00")
    done = files.import_all(files.csv(*files.calls([1], account=account.external_id, day="2026-10-10")))
    closed_october.close(clock)
    statement = closed_october.october()
    assert (statement.calls, statement.usage_nano) == (1, money.NANO)

    clock.move_to("2026-11-10T12:00")
    void(done)
    adjustment = UsageAdjustment.objects.get()
    assert (adjustment.corrects_period, adjustment.period) == (date(2026, 10, 1), date(2026, 11, 1))
    assert adjustment.delta_nano == -money.NANO
    assert closed_october.october() == statement
    assert_ledger_consistent()


def test_the_batch_names_its_import() -> None:
    done = files.import_all(files.csv(*files.calls([1])))
    batch: Any = void(done)
    assert batch_progress.describe(batch) == f"import {done.pk}"
    assert not batch_progress.may_continue(batch)
    assert batch_progress.may_revert(batch)


def test_an_aggregated_row_counts_all_of_its_calls() -> None:
    content = b"event_id,account,provider,model,requests,input_tokens,cost_usd\nr1,a,openai,gpt-4o,40,10,2\n"
    content += b"r2,a,openai,unheard-of-1,3,10,\n"
    done = files.import_all(content)

    total = ImportTotals.from_json(done.imported).total()
    assert (total.calls, total.cost_nano, total.unpriced) == (43, 2 * money.NANO, 3)
    assert import_voids.summarize(done) == VoidableCalls(2, 43, 2 * money.NANO, 3, True)
    assert void(done).logs == 2
    assert_ledger_consistent()
