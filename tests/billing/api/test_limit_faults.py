"""R5: a fault at any query, or at the commit, of reserve, settle and release changes all or nothing; and their races."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from billing.events import events
from billing.limits import reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operation
from billing.models import Account, UsageDay, UsageHold, UsageLog, UsageReservation
from billing.recording import metering
from billing.verification import rollup_check
from tests.billing.caps import cap, standing
from tests.billing.faults import ROLLUPS, Fault
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
EVENT = {**VIDEO, "event_id": "e1"}
MOST_QUERIES = 30


@pytest.fixture
def room(bound: Api) -> str:
    cap({"video_calls": 1})
    return str(reserve(bound, "r1").json()["id"])


def reserve(api: Api, name: str) -> Any:
    return api.post("reservations/", {"reservation_id": name, "operations": [VIDEO]})


def stored() -> tuple[Any, ...]:
    rooms = list(UsageReservation.objects.order_by("pk").values_list("reservation_id", "state", "over", "decided_at"))
    return rooms, UsageHold.objects.count(), UsageLog.objects.count(), UsageDay.objects.count(), differences()


def differences() -> list[str]:
    with transaction.atomic():
        return [str(one) for part in rollup_check.check() for one in part.differences]


def assert_every_fault_changes_nothing(call: Callable[[], Any], least: int) -> Any:
    """Faults at query 1, 2, 3, … until there is no such query: the answer of that run."""
    before = stored()
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault):
            answer = call()
        if fault.number > 0:
            assert number > least
            return answer
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")
        assert stored() == before
    raise AssertionError("more queries than expected")


def assert_a_commit_that_fails_changes_nothing(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()

    def fail() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        assert call().status_code == 503
    assert stored() == before


def test_reserve(bound: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    cap({"video_calls": 1})
    bound.post("preflight/", {"operations": [VIDEO]})
    assert_a_commit_that_fails_changes_nothing(lambda: reserve(bound, "r1"), monkeypatch)
    answer = assert_every_fault_changes_nothing(lambda: reserve(bound, "r1"), 5)
    assert (answer.status_code, stored()[:2]) == (201, ([("r1", "held", False, None)], 1))


def test_settle(bound: Api, room: str, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = lambda: bound.post(f"reservations/{room}/settle/", {"event": EVENT})  # noqa: E731
    assert_a_commit_that_fails_changes_nothing(settle, monkeypatch)
    assert assert_every_fault_changes_nothing(settle, 8 + ROLLUPS).status_code == 201
    assert stored() == ([("r1", "settled", False, now)], 1, 1, 1, [])


def test_release(bound: Api, room: str, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    release = lambda: bound.post(f"reservations/{room}/release/", {})  # noqa: E731
    assert_a_commit_that_fails_changes_nothing(release, monkeypatch)
    assert assert_every_fault_changes_nothing(release, 3).json()["state"] == "released"
    assert stored()[0] == [("r1", "released", False, now)]


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Each in a thread and with a connection of its own, started together."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def run(index: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers[index] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _settle(account: Account, at: datetime, event_id: str) -> str:
    event = events.parse({**EVENT, "event_id": event_id, "reservation_id": "r1"})
    return metering.record([event], source=metering.Source(account=account), at=at)[0].status


def test_two_settles_of_the_same_usage_count_it_once(room: str, account: Account, now: datetime) -> None:
    told = _together(*[lambda: _settle(account, now, "e1")] * 4)
    assert sorted(told) == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert stored() == ([("r1", "settled", False, now)], 1, 1, 1, [])


def test_two_settles_of_different_usage_are_both_recorded_and_flagged(
    room: str, account: Account, now: datetime
) -> None:
    assert _together(lambda: _settle(account, now, "e1"), lambda: _settle(account, now, "e2")) == ["accepted"] * 2
    assert stored() == ([("r1", "settled", True, now)], 1, 2, 1, [])


def test_settle_against_release_ends_as_one_after_the_other(room: str, account: Account, now: datetime) -> None:
    row = UsageReservation.objects.get()
    _together(lambda: _settle(account, now, "e1"), lambda: reservations.release(row, now))
    (ended,) = stored()[0]
    assert ended in [("r1", "settled", False, now), ("r1", "released", True, now)]
    assert standing(account, now, "video_calls") == (1, 0)


def test_the_same_reservation_asked_for_at_once_is_made_once(account: Account, now: datetime) -> None:
    cap({"video_calls": 1})
    wanted = reservations.Wanted("r1", [Operation(provider="video", category="video")], 900)
    told = _together(*[lambda: reservations.reserve(account, wanted, now)[1]] * 4)
    assert sorted(told) == [False, False, False, True]
    assert stored()[:2] == ([("r1", "held", False, None)], 1)


def test_the_last_room_is_given_to_one_of_many(account: Account, now: datetime) -> None:
    cap({"video_calls": 1})

    def attempt(name: str) -> bool:
        try:
            wanted = reservations.Wanted(name, [Operation(provider="video", category="video")], 900)
            return reservations.reserve(account, wanted, now)[1]
        except Refusal:
            return False

    told = _together(*[lambda name=name: attempt(name) for name in "abcd"])
    assert sorted(told) == [False, False, False, True]
