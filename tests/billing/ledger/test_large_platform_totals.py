"""Platform totals never refuse: a row near 64 bits makes the transaction take another slot."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DataError, connection, transaction

from billing.ledger import rollups, slot_compaction
from billing.models import Account, PlatformDay, UsageDay, UsageLog, UsageModel
from billing.models.rollups import MAX_NANO, SLOTS
from lib.exact_sum import ExactSum
from tests.billing.ledger_rows import record

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TODAY = NOON.date()
USD = 10**9


def fill(day: date, *slots: int, cost_nano: int = MAX_NANO) -> None:
    for slot in slots:
        PlatformDay.objects.create(
            day=day, declared="openai", actual="openai", category="text", slot=slot, calls=1, cost_nano=cost_nano
        )


def total(day: date) -> tuple[int, int]:
    """Calls and cost of the day."""
    sums = PlatformDay.objects.filter(day=day).aggregate(calls=ExactSum("calls"), cost=ExactSum("cost_nano"))
    return sums["calls"], sums["cost"]


def slots(day: date) -> list[int]:
    return list(PlatformDay.objects.filter(day=day).order_by("slot").values_list("slot", flat=True))


def test_usage_is_recorded_where_every_usual_slot_is_full() -> None:
    fill(TODAY, *range(SLOTS))
    results = record({}, {"event_id": "e9", "cost_usd": "1000000"}, at=NOON)

    assert [result.status for result in results] == ["accepted"] * 2
    assert total(TODAY) == (SLOTS + 2, SLOTS * MAX_NANO + 1_000_001 * USD)
    assert slots(TODAY)[:SLOTS] == list(range(SLOTS))
    assert slots(TODAY)[SLOTS] >= rollups.FIRST_SPARE_SLOT


@pytest.mark.parametrize("cost_nano", [MAX_NANO, MAX_NANO - 10**15 + 1, MAX_NANO - 1])
def test_a_batch_takes_another_slot(cost_nano: int) -> None:
    """On the way to 64 bits: past the constraint, and past the column."""
    fill(TODAY, *range(SLOTS), cost_nano=cost_nano)
    batch = [
        {"event_id": f"e{n}", "account": f"a{n}", "provider": "openai", "cost_usd": "1000000", "model": "gpt-4o"}
        for n in range(400)
    ]
    events = [{**event, "occurred_at": f"{NOON:%Y-%m-%dT%H:%M:%SZ}"} for event in batch]
    results = record(*events, at=NOON)

    assert {result.status for result in results} == {"accepted"}
    assert total(TODAY) == (SLOTS + 400, SLOTS * cost_nano + 400 * 10**15)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_its_own_takes_another_slot_too() -> None:
    fill(TODAY, *range(SLOTS))
    assert [result.status for result in record({}, at=NOON)] == ["accepted"]
    assert total(TODAY) == (SLOTS + 1, SLOTS * MAX_NANO + USD)


def test_corrections_take_another_slot(account: Account) -> None:
    fill(TODAY, *range(SLOTS))
    key = (TODAY, "openai", "openai", "text")
    counts = [1 if name == "calls" else USD if name == "cost_nano" else 0 for name in rollups.DAY_COUNTERS]
    rollups.apply(
        {rollup: {key: counts} if rollup is rollups.PLATFORM_DAYS else {} for rollup in rollups.LEDGER_ROLLUPS}
    )

    assert total(TODAY) == (SLOTS + 1, SLOTS * MAX_NANO + USD)


def test_an_account_s_own_total_beyond_64_bits_is_refused() -> None:
    record({}, at=NOON)
    UsageDay.objects.update(cost_nano=MAX_NANO)
    with pytest.raises(rollups.TotalTooLarge):
        record({"event_id": "e9"}, at=NOON)
    assert UsageLog.objects.count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite's texts have no maximum length")
def test_only_a_total_is_called_a_total(account: Account) -> None:
    """A text that is too long for its column is a fault, not a total."""
    totals = {(account.pk, TODAY, "openai", "m" * 201): [1, 0, 0, 0, 0, 0]}
    with pytest.raises(DataError), transaction.atomic():
        rollups.apply({rollup: totals if rollup is rollups.USAGE_MODELS else {} for rollup in rollups.LEDGER_ROLLUPS})
    assert UsageModel.objects.count() == 0


def test_compaction_leaves_no_day_behind() -> None:
    """Merging the oldest day would exceed 64 bits; the day after it is merged all the same."""
    old, next_day = TODAY - timedelta(days=10), TODAY - timedelta(days=9)
    fill(old, 0, 3, 7, 40)
    fill(next_day, 0, 3, 7, cost_nano=5)

    assert slot_compaction.compact(NOON) == 2
    assert (total(old), total(next_day)) == ((4, 4 * MAX_NANO), (3, 15))
    assert slots(next_day) == [0]
    assert [slot for slot in slots(old) if 0 < slot < rollups.FIRST_SPARE_SLOT] == []
    assert slot_compaction.compact(NOON) == 0


def test_compaction_of_full_rows_can_be_repeated() -> None:
    old = TODAY - timedelta(days=10)
    fill(old, 0, 3)
    slot_compaction.compact(NOON)
    fill(old, 3, cost_nano=5)

    assert slot_compaction.compact(NOON) == 1
    assert total(old) == (3, 2 * MAX_NANO + 5)
