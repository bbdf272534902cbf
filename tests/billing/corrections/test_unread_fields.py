"""Numbers that no reader knows: stored with their values, decided on by an operator, for new calls and for past ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import jobs
from billing.charges import unread_decisions
from billing.corrections import corrections, unread_resolution, unread_sightings
from billing.errors import Refused
from billing.models import CorrectionBatch, Statement, UnreadField, UsageAdjustment, UsageLog
from tests.billing import archived_periods, unread_calls
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, rollups, run, set_price
from tests.billing.unread_calls import (
    RATIO,
    THINKING,
    State,
    decide,
    fields,
    finish,
    gather,
    send,
    set_rates,
    state_of,
)
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

INCOMPLETE = ("incomplete", True, 7_000_000, 1500)  # 1,000 x $2 and 500 x $10 for a million
MAPPED = ("complete", False, 8_200_000, 1620)  # and 120 x $10
DISMISSED = ("complete", False, 7_000_000, 1500)


@pytest.fixture(autouse=True)
def rates() -> None:
    set_rates()


def totals(api: Api) -> tuple[Any, ...]:
    body = api.get("usage/summary/", account="a").json()
    return tuple(body[name] for name in ("total_calls", "total_tokens", "total_cost_usd", "estimated_calls"))


def assert_consistent() -> None:
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")


def test_the_values_of_unread_numbers_are_stored(service: Api) -> None:
    log = send(service, thinking_units=120, load_factor=0.25, total_tokens=1501)["id"]
    reading = service.get(f"usage/logs/{log}/").json()["reading"]
    assert sorted(reading["unread"]) == [RATIO, THINKING, "usage.total_tokens"]
    # A total that differs is known to its reader, so it can't be counted as something else.
    assert reading["unread_values"] == {THINKING: 120, RATIO: "0.25"}
    assert reading["mapped"] == {}
    assert_consistent()


def test_unread_fields_are_gathered_once(service: Api) -> None:
    send(service, thinking_units=120)
    send(service, "e2", thinking_units=7, items=[{"extra": 1}, {"extra": 2}])
    send(service, "e3")
    gathered = {
        THINKING: ("open", 2, "7", "new-1"),
        "usage.items[].extra": ("open", 1, "2", "new-1"),
    }
    assert gather() == "2 unread fields in new calls"
    assert fields() == gathered
    gather()
    assert fields() == gathered

    gather(NOON + timedelta(days=400))  # the logs' ids are of the real clock
    assert fields() == gathered
    gather(NOON + timedelta(days=400))
    assert fields() == gathered
    send(service, "e4", thinking_units=9)
    gather()
    assert fields()[THINKING] == ("open", 3, "9", "new-1")


def test_the_number_of_fields_is_bounded(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_sightings, "MAX_FIELDS", 1)
    send(service, a_units=1, b_units=1)
    gather()
    assert list(fields()) == ["usage.a_units"]


def test_a_mapped_field_counts_as_its_unit_in_new_calls(service: Api) -> None:
    send(service, thinking_units=1)
    gather()
    decide(THINKING, State.MAPPED, "output_tokens")
    answer = send(service, "e2", thinking_units=120)
    row = service.get(f"usage/logs/{answer['id']}/").json()

    assert (answer["usage_state"], answer["cost_usd"]) == ("complete", "0.0082")
    assert row["usage"] == {"input_tokens": 1000, "output_tokens": 620}
    assert (row["cost_source"], row["reading"]["unread"]) == ("price_book", [])
    assert (row["reading"]["mapped"], row["reading"]["unread_values"]) == ({THINKING: "output_tokens"}, {THINKING: 120})
    assert send(service, "e2", thinking_units=120)["id"] == answer["id"]  # a repeat: the digest is the same
    assert state_of("e2") == MAPPED
    assert_consistent()


def test_a_dismissed_field_is_informational_in_new_calls(service: Api) -> None:
    send(service, thinking_units=1)
    gather()
    decide(THINKING, State.DISMISSED)
    answer = send(service, "e2", thinking_units=120)
    row = service.get(f"usage/logs/{answer['id']}/").json()
    assert (answer["usage_state"], answer["cost_usd"], row["cost_source"]) == ("complete", "0.007", "price_book")
    assert (row["reading"]["unread"], row["reading"]["ignored"]) == ([], ["usage.total_tokens", THINKING])
    assert_consistent()


def test_a_retry_from_before_the_decision_is_no_conflict(service: Api) -> None:
    first = send(service, thinking_units=120)
    gather()
    decide(THINKING, State.MAPPED, "output_tokens")
    again = service.post(
        "usage/",
        {
            "event_id": "e1",
            "provider": "openai",
            "account": "a",
            "model": "new-1",
            "response": unread_calls.response(thinking_units=120),
        },
    )
    assert (again.status_code, again.json()["id"]) == (200, first["id"])


def test_decisions_need_no_query_of_their_own(service: Api) -> None:
    send(service, thinking_units=120)
    gather()
    with CaptureQueriesContext(connection) as before:
        send(service, "e2", thinking_units=120)
    decide(THINKING, State.MAPPED, "output_tokens")
    send(service, "e3", thinking_units=120)
    with CaptureQueriesContext(connection) as after:
        send(service, "e4", thinking_units=120)
    assert len(after) == len(before)


def test_a_mapped_field_completes_past_calls(service: Api) -> None:
    send(service, thinking_units=120)
    send(service, "e2", thinking_units=120, load_factor=0.25)
    send(service, "e3", account="b", thinking_units=120)
    assert totals(service) == (2, 3000, "0.014", 2)
    gather()
    batch = decide(THINKING, State.MAPPED, "output_tokens")

    assert (state_of(), state_of("e2"), state_of("e3")) == (MAPPED, INCOMPLETE, MAPPED)
    assert (batch.logs, batch.delta_nano, batch.skips) == (2, 2_400_000, {unread_resolution.STILL_UNREAD: 1})
    assert totals(service) == (2, 3120, "0.0152", 1)
    (entry,) = LogEntry.objects.get_for_model(UnreadField).filter(action=LogEntry.Action.UPDATE)
    assert entry.changes["unit"] == ["", "output_tokens"]
    assert_consistent()

    log = UsageLog.objects.get(event_id="e1")
    row = service.get(f"usage/logs/{log.pk}/").json()
    assert (row["usage"], row["cost_usd"], row["cost_source"]) == (
        *({"input_tokens": 1000, "output_tokens": 620}, "0.0082", "price_book"),
    )
    assert [line["cost_usd"] for line in row["explanation"]["lines"]] == ["0.002", "0.0062"]

    decide(RATIO, State.DISMISSED)
    assert state_of("e2") == MAPPED
    assert totals(service) == (2, 3240, "0.0164", 0)
    assert_consistent()


def test_a_dismissed_field_completes_past_calls_at_the_cost_that_was_read(service: Api) -> None:
    send(service, thinking_units=120)
    gather()
    set_price("new-1", input_tokens="99", output_tokens="99")
    decide(THINKING, State.DISMISSED)
    assert state_of() == DISMISSED
    assert totals(service) == (1, 1500, "0.007", 0)
    row = service.get(f"usage/logs/{UsageLog.objects.get().pk}/").json()
    assert (row["cost_source"], row["adjustments"][0]["delta_usd"]) == ("price_book", "0")
    assert_consistent()


def test_a_field_in_several_items_adds_up(service: Api) -> None:
    send(service, items=[{"extra": 20}, {"extra": 100}])
    gather()
    decide("usage.items[].extra", State.MAPPED, "output_tokens")
    assert state_of() == MAPPED
    assert_consistent()


def test_a_log_without_stored_values_can_only_be_dismissed(service: Api) -> None:
    send(service, thinking_units=120)
    log = UsageLog.objects.get()
    without = {name: value for name, value in (log.reading or {}).items() if name != "unread_values"}
    UsageLog.objects.update(reading=without, checksum=None)  # as the release before stored it
    gather()
    batch = decide(THINKING, State.MAPPED, "output_tokens")
    assert (batch.logs, batch.skips, state_of()) == (0, {unread_resolution.STILL_UNREAD: 1}, INCOMPLETE)
    decide(THINKING, State.DISMISSED)
    assert state_of() == DISMISSED
    assert_consistent()


@pytest.mark.parametrize(
    ("unit", "value"),
    [("output_tokens", 0.5), ("output_tokens", -3), ("cached_input_tokens", 1001), ("output_tokens", 10**9)],
)
def test_a_number_that_does_not_fit_stays_unread(service: Api, unit: str, value: float) -> None:
    send(service, thinking_units=value)
    gather()
    batch = decide(THINKING, State.MAPPED, unit)
    assert (batch.logs, state_of()) == (0, INCOMPLETE)
    send(service, "e2", thinking_units=value)
    assert state_of("e2") == INCOMPLETE
    assert_consistent()


def test_a_cost_that_was_stated_stays(service: Api) -> None:
    event = {"event_id": "e1", "provider": "openai", "account": "a", "model": "new-1", "cost_usd": "3"}
    service.post("usage/", {**event, "response": unread_calls.response(thinking_units=120)})
    assert state_of() == ("incomplete", False, 3 * 10**9, 1500)
    gather()
    decide(THINKING, State.MAPPED, "output_tokens")
    assert state_of() == ("complete", False, 3 * 10**9, 1620)
    assert totals(service) == (1, 1620, "3", 0)
    assert_consistent()


def test_a_voided_call_is_left_out(service: Api) -> None:
    send(service, thinking_units=120)
    gather()
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    before = rollups()
    batch = decide(THINKING, State.MAPPED, "output_tokens")
    assert (batch.logs, batch.skips, rollups()) == (0, {unread_resolution.VOIDED: 1}, before)
    assert_consistent()


def test_a_preview_changes_nothing_and_equals_the_decision(service: Api) -> None:
    send(service, thinking_units=120)
    send(service, "e2", thinking_units=120, load_factor=0.25)
    gather()
    field, before = UnreadField.objects.get(path=THINKING), rollups()
    preview = unread_resolution.preview(field, state=State.MAPPED, unit="output_tokens", max_logs=100)
    assert (preview.change.calls, preview.change.delta_nano, preview.complete) == (1, 1_200_000, True)
    assert preview.skipped == {unread_resolution.STILL_UNREAD: 1}
    assert (rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count()) == (before, 0, 0)
    assert not unread_resolution.preview(field, state=State.DISMISSED, unit="", max_logs=1).complete
    batch = decide(THINKING, State.MAPPED, "output_tokens")
    assert (batch.logs, batch.delta_nano) == (1, 1_200_000)


def test_a_preview_examines_a_limited_number_of_accounts(service: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_resolution, "MAX_PREVIEW_ACCOUNTS", 2)
    for number in range(2):
        send(service, f"e{number}", account=f"a{number}", thinking_units=120)
    gather()
    field = UnreadField.objects.get()
    preview = unread_resolution.preview(field, state=State.DISMISSED, unit="", max_logs=100)
    assert (preview.change.calls, preview.complete) == (2, True)
    send(service, "e2", account="a2", thinking_units=120)
    gather()
    preview = unread_resolution.preview(field, state=State.DISMISSED, unit="", max_logs=100)
    assert (preview.change.calls, preview.complete) == (2, False)


def test_fields_that_differ_in_case_are_two(service: Api) -> None:
    send(service, thinking_units=1, THINKING_units=2)
    gather()
    assert len(fields()) == 2
    decide(THINKING, State.DISMISSED)
    assert state_of() == INCOMPLETE


@pytest.mark.parametrize(
    ("state", "unit"),
    [(State.MAPPED, "parsecs"), (State.MAPPED, ""), (State.MAPPED, "requests"), (State.DISMISSED, "output_tokens")],
)
def test_a_decision_needs_a_unit_that_exists(service: Api, state: State, unit: str) -> None:
    send(service, thinking_units=120)
    gather()
    before = UnreadField.objects.values().get()
    with pytest.raises(Refused):
        decide(THINKING, state, unit)
    assert (UnreadField.objects.values().get(), CorrectionBatch.objects.count()) == (before, 0)


@pytest.mark.parametrize(
    ("state", "unit", "after"), [(State.MAPPED, "output_tokens", MAPPED), (State.DISMISSED, "", DISMISSED)]
)
def test_a_decision_is_reverted_for_past_calls_and_made_anew(
    service: Api, state: State, unit: str, after: tuple[Any, ...]
) -> None:
    send(service, thinking_units=120)
    gather()
    batch = decide(THINKING, state, unit)
    assert state_of() == after
    run("reprice", "--revert", str(batch.pk))
    assert (state_of(), totals(service)) == (INCOMPLETE, (1, 1500, "0.007", 1))
    assert_consistent()
    field = UnreadField.objects.get()
    assert unread_resolution.decide(field, state=State.OPEN, unit="", actor="ann", at=NOON) is None
    send(service, "e2", thinking_units=120)
    assert state_of("e2") == INCOMPLETE
    decide(THINKING, State.MAPPED, "input_tokens")
    assert state_of() == ("complete", False, 7_240_000, 1620)
    assert_consistent()


def test_a_killed_batch_is_finished_by_the_job(service: Api) -> None:
    for number in range(3):
        send(service, f"e{number}", account=f"a{number}", thinking_units=120)
    gather()
    field = UnreadField.objects.get()
    batch = unread_resolution.decide(field, state=State.MAPPED, unit="output_tokens", actor="ann", at=NOON)
    assert batch is not None
    next(unread_resolution.run(batch, clock=lambda: NOON))
    assert [state_of(f"e{number}") for number in range(3)] == [MAPPED, INCOMPLETE, INCOMPLETE]
    jobs.finish_corrections(NOON + jobs.ABANDONED_AFTER, clock=lambda: NOON)
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch.finished_at) == (3, 3_600_000, NOON)
    assert [state_of(f"e{number}") for number in range(3)] == [MAPPED] * 3
    assert_consistent()


def test_a_call_recorded_by_a_process_that_did_not_know_the_decision_is_completed(service: Api) -> None:
    send(service, thinking_units=120)
    gather()
    field = UnreadField.objects.get()
    UnreadField.objects.update(state=State.MAPPED, unit="output_tokens", decided_by="ann", decided_at=NOON)
    send(service, "e2", thinking_units=120)
    assert state_of("e2") == INCOMPLETE  # the cached decisions are of before
    unread_decisions.invalidate()
    gather(NOON + timedelta(days=400))
    assert (state_of(), state_of("e2")) == (MAPPED, MAPPED)
    batch = CorrectionBatch.objects.get()
    assert (batch.actor, batch.choice) == ("ann", {"reader": field.reader, "field": THINKING})
    gather(NOON + timedelta(days=400))
    assert CorrectionBatch.objects.count() == 1
    assert_consistent()


def test_in_a_closed_period_it_is_a_line_of_the_next_statement(service: Api) -> None:
    unread_calls.record(thinking_units=120, at=archived_periods.IN_OCTOBER)
    archived_periods.close_periods()
    gather()
    before = Statement.objects.values().get()
    batch = decide(THINKING, State.MAPPED, "output_tokens")
    assert Statement.objects.values().get() == before
    body = service.get("usage/summary/", account="a").json()
    assert (body["prior_adjustments_usd"], body["total_cost_usd"], state_of()) == ("0.0012", "0", MAPPED)
    assert_consistent()
    for _ in corrections.revert(batch, actor="ann", size=10, clock=lambda: NOON):
        pass
    assert state_of() == INCOMPLETE
    assert_consistent()
    finish(batch)


def test_a_field_of_a_response_without_reader_can_be_counted(service: Api) -> None:
    event = {"event_id": "e1", "provider": "openai", "account": "a", "model": "new-1"}
    service.post("usage/", {**event, "response": {"usage": {"words_made": 120}}})
    gather()
    decide("usage.words_made", State.MAPPED, "output_tokens")
    assert state_of() == ("complete", False, 1_200_000, 120)
    assert_consistent()


def test_a_response_with_decided_fields_gives_the_real_usage_of_a_call(service: Api) -> None:
    send(service, thinking_units=1, load_factor=0.25)
    log = UsageLog.objects.get()
    body = {"response": unread_calls.response(thinking_units=120), "reason": "from the vendor"}
    assert service.post(f"usage/logs/{log.pk}/resolve/", body).status_code == 422
    gather()
    decide(THINKING, State.MAPPED, "output_tokens")
    assert service.post(f"usage/logs/{log.pk}/resolve/", body).status_code == 200
    assert state_of() == MAPPED
    assert_consistent()
