"""A batch may run for hours: each transaction has its own time, and corrects what is closed by then as late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.archive import archive_job
from billing.corrections import corrections, redetection, repricing
from billing.corrections.repricing import RepricingChoice
from billing.ledger import closed_periods, rollups
from billing.models import Account, Archive, UsageAdjustment, UsageLog
from providers import rulebook
from providers.models import DetectionRule
from tests.billing import archived_periods
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, set_price
from tests.billing.repricing_calls import NEW_MODEL

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
BEFORE_MIDNIGHT = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


class HourlyClock:
    """Moves by an hour each time that it is read."""

    def __init__(self, at: datetime) -> None:
        self.times: Iterator[datetime] = (at + HOUR * number for number in range(10_000))

    def __call__(self) -> datetime:
        return next(self.times)


def record_unpriced(count: int = 3) -> None:
    call = {"model": NEW_MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}}
    record(*({**call, "event_id": f"e{number}"} for number in range(count)))
    set_price(NEW_MODEL, input_tokens="5")


def test_each_step_of_a_batch_has_its_own_time() -> None:
    record_unpriced()
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    list(repricing.run(batch, size=1, clock=HourlyClock(NOON)))
    created = UsageAdjustment.objects.order_by("id").values_list("created_at", flat=True)
    assert [at - NOON for at in created] == [0 * HOUR, HOUR, 2 * HOUR]
    assert batch.finished_at == NOON + 3 * HOUR

    list(corrections.revert(batch, actor="ann", size=1, clock=HourlyClock(NOON + 5 * HOUR)))
    reverts = UsageAdjustment.objects.filter(kind="revert").order_by("id").values_list("created_at", flat=True)
    assert [at - NOON for at in reverts] == [7 * HOUR, 8 * HOUR, 9 * HOUR]
    assert_ledger_consistent()


def test_a_period_that_is_closed_during_a_batch_is_corrected_in_the_period_that_is_open_then() -> None:
    record_unpriced()
    account = Account.objects.get()
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=BEFORE_MIDNIGHT)
    clock = HourlyClock(BEFORE_MIDNIGHT)
    steps = repricing.run(batch, size=1, clock=clock)
    next(steps)
    closed_periods.close(account, NOVEMBER, BEFORE_MIDNIGHT + HOUR)
    list(steps)

    rows = UsageAdjustment.objects.order_by("id").values_list("period", "late_at", "corrects_period")
    assert list(rows) == [
        (NOVEMBER, None, NOVEMBER),
        (DECEMBER, BEFORE_MIDNIGHT + HOUR, NOVEMBER),
        (DECEMBER, BEFORE_MIDNIGHT + 2 * HOUR, NOVEMBER),
    ]
    assert_ledger_consistent(without=("closed_periods", "statements"))  # closed before its end


def test_a_redetection_has_the_time_of_each_step() -> None:
    record(*({"event_id": f"e{number}", "endpoint": "https://api.openai.com/v1"} for number in range(2)))
    DetectionRule.objects.all().delete()
    rulebook.invalidate()
    choice = redetection.RedetectionChoice(redetect=True)
    list(redetection.run(choice, size=1, clock=HourlyClock(NOON)))
    created = UsageAdjustment.objects.order_by("id").values_list("created_at", flat=True)
    assert [at - NOON for at in created] == [HOUR, 2 * HOUR]


def test_an_archive_counts_its_delay_from_each_file(settings: Any, tmp_path: Path) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    archived_periods.record_october()
    due = archived_periods.DUE_AT
    archive_job.run(due, clock=HourlyClock(due))
    archives = list(Archive.objects.order_by("begun_at"))
    assert [archive.begun_at for archive in archives] == sorted({archive.begun_at for archive in archives})
    for archive in archives:
        assert archive.verified_at is not None
        assert archive.finished_at is None or archive.finished_at - archive.verified_at >= archive_job.DELETE_DELAY


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "timestamp"),
        ({"late_for": date(2026, 10, 1)}, "received_at"),
        ({"late_for": date(2026, 10, 1), "counts_at": NOON - 5 * HOUR}, "counts_at"),
        ({"counts_at": NOON - 5 * HOUR}, "counts_at"),
    ],
)
def test_an_adjustment_has_the_instant_at_which_its_log_counts(fields: dict[str, object], expected: str) -> None:
    record({"occurred_at": (NOON - HOUR).isoformat()})
    UsageLog.objects.update(**fields)
    log = UsageLog.objects.get()
    corrections.void(log, reason="x", actor="ann", at=NOON)
    assert UsageAdjustment.objects.get().counts_at == getattr(log, expected) == rollups.counting_time(log)
