"""metering.record: stores each event once, rates it, and counts it in every rollup in the same transaction."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from billing.events import events
from billing.models import Account, PlatformDay, UsageDay, UsageLog, UsageModel
from billing.recording import metering
from billing.recording.metering import EventSource

pytestmark = pytest.mark.django_db


def event(**fields: Any) -> events.Event:
    return events.parse({"event_id": "e1", "provider": "openai", "model": "gpt-4o", **fields})


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_an_event_is_stored_priced_and_counted(account: Account, now: datetime) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 500}
    (result,) = metering.record([event(usage=usage)], source=EventSource(account=account), at=now)

    assert (result.status, result.actual_provider, result.cost_nano, result.priced) == (
        "accepted",
        "openai",
        7_500_000,
        True,
    )
    log = UsageLog.objects.get()
    assert (log.id, log.cost_input, log.cost_output, log.cost_total) == (result.id, 2_500_000, 5_000_000, 7_500_000)
    assert (log.usage_day, log.usage_period, log.tokens_total) == (date(2026, 11, 22), date(2026, 11, 1), 1500)
    day = UsageDay.objects.get()
    assert (day.calls, day.billable_calls, day.cost_nano, day.tokens_total, day.unpriced_calls) == (
        1,
        1,
        7_500_000,
        1500,
        0,
    )
    assert (day.declared, day.actual, day.category) == ("openai", "openai", "text")
    assert UsageModel.objects.get().cost_nano == 7_500_000
    assert PlatformDay.objects.get().cost_nano == 7_500_000


def test_the_same_event_again_changes_nothing(account: Account, now: datetime) -> None:
    (first,) = metering.record([event()], source=EventSource(account=account), at=now)
    (again,) = metering.record([event()], source=EventSource(account=account), at=now + timedelta(days=40))

    assert (again.status, again.id) == ("duplicate", first.id)
    assert UsageLog.objects.count() == 1
    assert UsageDay.objects.get().calls == 1


def test_the_same_id_with_other_content_is_a_conflict_and_the_first_is_kept(account: Account, now: datetime) -> None:
    metering.record([event()], source=EventSource(account=account), at=now)
    (again,) = metering.record([event(model="gpt-4o-mini")], source=EventSource(account=account), at=now)

    assert (again.status, again.refused and again.refused.code) == ("conflict", "event_conflict")
    assert UsageLog.objects.get().model_used == "gpt-4o"
    assert UsageDay.objects.get().calls == 1


def test_of_equal_ids_in_one_batch_the_lowest_index_wins(account: Account, now: datetime) -> None:
    batch = [event(), event(), event(model="other")]
    results = metering.record(batch, source=EventSource(account=account), at=now)

    assert [result.status for result in results] == ["accepted", "duplicate", "conflict"]
    assert UsageDay.objects.get().calls == 1
