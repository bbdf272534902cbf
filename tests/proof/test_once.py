"""However the same events are split, repeated and permuted, rows and totals are those of one straight run."""

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
from billing.ledger.rollups import LEDGERED
from billing.models import UsageLog
from billing.recording import metering
from tests.proof import sent

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOURCE = metering.Source(may_create_accounts=True)
UNLIKE = {"id", "account", "account_id"}  # made anew in each run

Batches = list[list[sent.Json]]
State = dict[str, list[tuple[Any, ...]]]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[sent.Json], Batches]:
    """Some events, and batches in which each stands at least once."""
    chosen = sorted(draw(st.sets(st.integers(0, 5_000), min_size=1, max_size=25)))
    straight = [sent.event(f"e{number}", number) for number in chosen]
    again = draw(st.lists(st.sampled_from(straight), max_size=25))
    order = draw(st.permutations([*straight, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=6)))
    return straight, [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True) if a < b]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deliveries())
def test_any_delivery_of_the_same_events_ends_as_one_straight_run(delivery: tuple[list[sent.Json], Batches]) -> None:
    straight, batches = delivery
    expected, _ = _run([straight])
    state, told = _run(batches)

    assert state == expected
    accepted = sorted(event_id for event_id, status in told if status == "accepted")
    assert accepted == sorted(one["event_id"] for one in straight)
    assert {status for _, status in told} <= {"accepted", "duplicate"}


def test_other_content_under_known_ids_changes_no_row_and_no_total() -> None:
    straight = sent.events(20)
    expected, _ = _run([straight])
    others = [sent.event(one["event_id"], number + 3) for number, one in enumerate(straight)]
    state, told = _run([straight, sent.shuffled(others, random.Random(1))])

    assert state == expected
    assert [status for _, status in told[20:]] == ["conflict"] * 20


def _run(batches: Sequence[list[sent.Json]]) -> tuple[State, list[tuple[str, str]]]:
    """What the database holds after these batches, and what was answered; everything is rolled back."""
    told = []
    with transaction.atomic():
        for batch in batches:
            results = metering.record([events.parse(one) for one in batch], source=SOURCE, at=AT)
            told += [(result.event_id, result.status) for result in results]
        state = _state()
        transaction.set_rollback(True)
    return state, told


def _state() -> State:
    """Every row of the log and of the rollups, but for ids made anew; the slots of a platform day together."""
    columns = [column.name for column in UsageLog._meta.fields if column.name not in UNLIKE]
    logs = UsageLog.objects.annotate(whose=F("account__external_id")).order_by("event_id")
    state = {"logs": [tuple(map(str, row)) for row in logs.values_list("whose", *columns)]}
    for rollup in LEDGERED:
        keys = ["account__external_id" if key == "account_id" else key for key in rollup.keys if key != "slot"]
        sums = {f"sum_{counter}": Sum(counter) for counter in rollup.counters}
        state[rollup.table] = sorted(QuerySet(rollup.model).order_by().values_list(*keys).annotate(**sums))
    return state
