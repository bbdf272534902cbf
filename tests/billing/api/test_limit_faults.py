"""R5: reserve, settle and release change all or nothing, with a fault at any query or at the commit, and concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection

from billing.events import events
from billing.limits import reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operation
from billing.models import Account, UsageDay, UsageHold, UsageLog, UsageReservation
from billing.recording import metering
from tests.billing.faults import ROLLUP_QUERIES, Fault
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
EVENT = {**VIDEO, "event_id": "e1"}
MAX_QUERIES = 30


@pytest.fixture
def reservation(bound: Api) -> str:
    set_limits({"video_calls": 1})
    return str(reserve(bound, "r1").json()["id"])


def reserve(api: Api, name: str) -> Any:
    return api.post("reservations/", {"reservation_id": name, "operations": [VIDEO]})


def stored() -> tuple[Any, ...]:
    rows = list(UsageReservation.objects.order_by("pk").values_list("reservation_id", "state", "over", "decided_at"))
    return rows, UsageHold.objects.count(), UsageLog.objects.count(), UsageDay.objects.count(), rollup_differences()


def assert_every_fault_changes_nothing(call: Callable[[], Any], min_queries: int) -> Any:
    """Injects a fault at query 1, 2, 3, … until the call makes fewer queries. Returns the response of that last call."""
    before = stored()
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, OperationalError("the database is down"))
        with connection.execute_wrapper(fault):
            response = call()
        if fault.number > 0:
            assert number > min_queries
            return response
        assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "unavailable")
        assert stored() == before
    raise AssertionError("more queries than expected")


def assert_a_failed_commit_changes_nothing(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()

    def fail() -> None:
        raise OperationalError("the database is down")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        assert call().status_code == 503
    assert stored() == before


def test_a_fault_in_reserve_changes_nothing(bound: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits({"video_calls": 1})
    bound.post("preflight/", {"operations": [VIDEO]})
    assert_a_failed_commit_changes_nothing(lambda: reserve(bound, "r1"), monkeypatch)
    response = assert_every_fault_changes_nothing(lambda: reserve(bound, "r1"), 5)
    assert (response.status_code, stored()[:2]) == (201, ([("r1", "held", False, None)], 1))


def test_a_fault_in_settle_changes_nothing(
    bound: Api, reservation: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = lambda: bound.post(f"reservations/{reservation}/settle/", {"event": EVENT})  # noqa: E731
    assert_a_failed_commit_changes_nothing(settle, monkeypatch)
    assert assert_every_fault_changes_nothing(settle, 8 + ROLLUP_QUERIES).status_code == 201
    assert stored() == ([("r1", "settled", False, now)], 1, 1, 1, [])


def test_a_fault_in_release_changes_nothing(
    bound: Api, reservation: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = lambda: bound.post(f"reservations/{reservation}/release/", {})  # noqa: E731
    assert_a_failed_commit_changes_nothing(release, monkeypatch)
    assert assert_every_fault_changes_nothing(release, 3).json()["state"] == "released"
    assert stored()[0] == [("r1", "released", False, now)]


def _race(*calls: Callable[[], Any]) -> list[Any]:
    """Starts all calls at once, each in its own thread and with its own connection. Returns their results."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(position: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[position] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=arguments) for arguments in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _settle(account: Account, at: datetime, event_id: str) -> str:
    event = events.parse({**EVENT, "event_id": event_id, "reservation_id": "r1"})
    return metering.record([event], source=metering.EventSource(account=account), at=at)[0].status


def test_concurrent_settles_of_the_same_usage_count_it_once(reservation: str, account: Account, now: datetime) -> None:
    results = _race(*[lambda: _settle(account, now, "e1")] * 4)
    assert sorted(results) == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert stored() == ([("r1", "settled", False, now)], 1, 1, 1, [])


def test_concurrent_settles_of_different_usage_are_both_recorded_and_flagged(
    reservation: str, account: Account, now: datetime
) -> None:
    assert _race(lambda: _settle(account, now, "e1"), lambda: _settle(account, now, "e2")) == ["accepted"] * 2
    assert stored() == ([("r1", "settled", True, now)], 1, 2, 1, [])


def test_concurrent_settle_and_release_end_as_if_in_sequence(reservation: str, account: Account, now: datetime) -> None:
    row = UsageReservation.objects.get()
    _race(lambda: _settle(account, now, "e1"), lambda: reservations.release(row, now))
    (final,) = stored()[0]
    assert final in [("r1", "settled", False, now), ("r1", "released", True, now)]
    assert used_and_reserved(account, now, "video_calls") == (1, 0)


def test_concurrent_requests_for_one_reservation_create_it_once(account: Account, now: datetime) -> None:
    set_limits({"video_calls": 1})
    request = reservations.ReservationRequest("r1", [Operation(provider="video", category="video")], 900)
    results = _race(*[lambda: reservations.reserve(account, request, now)[1]] * 4)
    assert sorted(results) == [False, False, False, True]
    assert stored()[:2] == ([("r1", "held", False, None)], 1)


def test_the_last_call_under_a_limit_is_reserved_by_one_of_many(account: Account, now: datetime) -> None:
    set_limits({"video_calls": 1})

    def attempt(name: str) -> bool:
        try:
            request = reservations.ReservationRequest(name, [Operation(provider="video", category="video")], 900)
            return reservations.reserve(account, request, now)[1]
        except Refusal:
            return False

    results = _race(*[lambda name=name: attempt(name) for name in "abcd"])
    assert sorted(results) == [False, False, False, True]
