"""However events are split into batches, repeated and reordered, rows and totals equal those of one batch without repeats."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F, QuerySet, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.events import events
from billing.ledger.rollups import LEDGER_ROLLUPS
from billing.models import UsageLog
from billing.recording import metering
from tests.proof import workload

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOURCE = metering.EventSource(may_create_accounts=True)
GENERATED_COLUMNS = {"checksum", "id", "account", "account_id"}  # different in each run

Batches = list[list[workload.Json]]
State = dict[str, list[tuple[Any, ...]]]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[workload.Json], Batches]:
    """Some events, and batches that contain each of them at least once."""
    chosen = sorted(draw(st.sets(st.integers(0, 5_000), min_size=1, max_size=25)))
    original = [workload.event(f"e{number}", number) for number in chosen]
    repeats = draw(st.lists(st.sampled_from(original), max_size=25))
    order = draw(st.permutations([*original, *repeats]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=6)))
    bounds = zip([0, *cuts], [*cuts, len(order)], strict=True)
    return original, [order[start:end] for start, end in bounds if start < end]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deliveries())
def test_any_delivery_of_the_same_events_ends_as_one_batch_of_them(
    delivery: tuple[list[workload.Json], Batches],
) -> None:
    original, batches = delivery
    expected, _ = _run([original])
    state, answers = _run(batches)

    assert state == expected
    accepted = sorted(event_id for event_id, status in answers if status == "accepted")
    assert accepted == sorted(event["event_id"] for event in original)
    assert {status for _, status in answers} <= {"accepted", "duplicate"}


def test_different_content_under_known_ids_changes_no_row_and_no_total() -> None:
    original = workload.events(20)
    expected, _ = _run([original])
    changed = [workload.event(event["event_id"], number + 3) for number, event in enumerate(original)]
    state, answers = _run([original, workload.shuffled(changed, random.Random(1))])

    assert state == expected
    assert [status for _, status in answers[20:]] == ["conflict"] * 20


def _run(batches: Sequence[list[workload.Json]]) -> tuple[State, list[tuple[str, str]]]:
    """Records the batches and rolls back. Returns the stored state and the answers (event id, status)."""
    answers = []
    with transaction.atomic():
        for batch in batches:
            results = metering.record([events.parse(event) for event in batch], source=SOURCE, at=AT)
            answers += [(result.event_id, result.status) for result in results]
        state = _state()
        transaction.set_rollback(True)
    return state, answers


def _state() -> State:
    """All rows of the log and of the rollups, without generated ids; slots of a platform day are summed."""
    columns = [column.name for column in UsageLog._meta.fields if column.name not in GENERATED_COLUMNS]
    logs = UsageLog.objects.annotate(owner=F("account__external_id")).order_by("event_id")
    state = {"logs": [tuple(map(str, row)) for row in logs.values_list("owner", *columns)]}
    for rollup in LEDGER_ROLLUPS:
        keys = ["account__external_id" if key == "account_id" else key for key in rollup.keys if key != "slot"]
        sums = {f"sum_{counter}": Sum(counter) for counter in rollup.counters}
        state[rollup.table] = sorted(QuerySet(rollup.model).order_by().values_list(*keys).annotate(**sums))
    return state
