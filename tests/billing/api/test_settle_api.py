"""`POST reservations/{id}/settle/`, and usage that names a reservation: recorded in full, and the room freed once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.limits import reservations
from billing.models import Account, UsageLog, UsageReservation
from billing.verification import rollup_check
from tests.billing.caps import cap, standing
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
EVENT = {**VIDEO, "event_id": "e1"}  # costs $0.25
LIVE = (0, 1)


@pytest.fixture
def room(bound: Api) -> str:
    """A reservation of one video call, `r1`."""
    cap({"video_calls": 1, "monthly_cost": 2_000_000_000})
    answer = bound.post("reservations/", {"reservation_id": "r1", "operations": [VIDEO]})
    return str(answer.json()["id"])


def settle(api: Api, room: str, **body: Any) -> Any:
    return api.post(f"reservations/{room}/settle/", body)


def state() -> tuple[str, bool]:
    row = UsageReservation.objects.get()
    return row.state, row.over


def expire(clock: Clock, now: datetime) -> datetime:
    later = now + timedelta(seconds=900)
    clock.move_to(later)
    return later


def assert_ledger() -> None:
    assert [str(one) for part in rollup_check.check() for one in part.differences] == []


def test_usage_is_recorded_and_the_room_is_freed(bound: Api, room: str, account: Account, now: datetime) -> None:
    assert standing(account, now, "video_calls") == LIVE
    answer = settle(bound, room, event=EVENT)

    log = UsageLog.objects.get()
    assert (answer.status_code, answer.json()) == (
        201,
        {
            "event_id": "e1",
            "status": "accepted",
            "id": str(log.pk),
            "actual_provider": "wavespeed",
            "confidence": "strong",
            "cost_usd": "0.25",
            "priced": True,
            "reservation": {
                "id": room,
                "reservation_id": "r1",
                "state": "settled",
                "over": False,
                "expires_at": "2026-11-22T12:15:00Z",
            },
        },
    )
    assert standing(account, now, "video_calls") == (1, 0)
    assert UsageReservation.objects.get().decided_at == now
    assert_ledger()


def test_sent_again_it_is_a_duplicate(bound: Api, room: str, account: Account, now: datetime) -> None:
    settle(bound, room, event=EVENT)
    again = settle(bound, room, event=EVENT)

    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert (state(), standing(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_a_batch_settles_once(bound: Api, room: str, account: Account, now: datetime) -> None:
    answer = settle(
        bound, room, events=[EVENT, {**EVENT, "event_id": "e2", "status_code": 500, "usage": {"requests": 0}}]
    )

    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert answer.json()["reservation"]["state"] == "settled"
    assert (state(), standing(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_usage_above_the_hold_is_recorded_in_full_and_flagged(
    bound: Api, room: str, account: Account, now: datetime
) -> None:
    answer = settle(bound, room, events=[EVENT, {**EVENT, "event_id": "e2"}])

    assert answer.json()["accepted"] == 2
    assert (state(), standing(account, now, "video_calls")) == (("settled", True), (2, 0))
    assert_ledger()


def test_usage_of_another_provider_than_was_held_is_flagged(bound: Api, room: str) -> None:
    cap({"openai_calls": 5})
    settle(bound, room, event={"event_id": "e1", "provider": "openai", "category": "text"})
    assert state() == ("settled", True)


def test_usage_above_the_hold_of_what_is_not_limited_is_no_matter(bound: Api, room: str) -> None:
    cap({"video_calls": 1})
    settle(bound, room, event={**EVENT, "usage": {"input_tokens": 1_000_000}})
    assert state() == ("settled", False)


@pytest.mark.parametrize("swept", [False, True])
def test_after_expiry_it_is_recorded_in_full_and_flagged(
    bound: Api, room: str, account: Account, now: datetime, clock: Clock, swept: bool
) -> None:
    later = expire(clock, now)
    if swept:
        reservations.expire(later)

    answer = settle(bound, room, event=EVENT)
    assert (answer.status_code, answer.json()["reservation"]["over"]) == (201, True)
    assert (state(), standing(account, later, "video_calls")) == (("settled", True), (1, 0))


def test_after_release_it_is_recorded_in_full_and_flagged(
    bound: Api, room: str, account: Account, now: datetime
) -> None:
    bound.post(f"reservations/{room}/release/", {})

    assert settle(bound, room, event=EVENT).status_code == 201
    assert (state(), standing(account, now, "video_calls")) == (("released", True), (1, 0))


def test_more_usage_after_settling_is_recorded_and_flagged(
    bound: Api, room: str, account: Account, now: datetime
) -> None:
    settle(bound, room, event=EVENT)
    assert settle(bound, room, event={**EVENT, "event_id": "e2"}).status_code == 201
    assert (state(), standing(account, now, "video_calls")) == (("settled", True), (2, 0))


def test_usage_that_came_by_another_way_frees_the_room_too(
    bound: Api, room: str, account: Account, now: datetime
) -> None:
    bound.post("usage/", EVENT)
    assert standing(account, now, "video_calls") == (1, 1)

    assert settle(bound, room, event=EVENT).json()["status"] == "duplicate"
    assert (state(), standing(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_a_batch_of_repeats_frees_the_room_too(bound: Api, room: str) -> None:
    batch = [{**EVENT, "event_id": f"e{n}"} for n in range(60)]
    bound.post("usage/", {"events": batch})

    answer = settle(bound, room, events=batch)
    assert (answer.status_code, answer.json()["duplicates"], state()) == (200, 60, ("settled", False))


def test_a_refused_event_changes_nothing(bound: Api, room: str, account: Account, now: datetime) -> None:
    bound.post("usage/", {**EVENT, "event_id": "other"})
    for event, status, attr in (
        ({**EVENT, "usage": {"input_tokens": -1}}, 422, "event.usage.input_tokens"),
        ({**EVENT, "account": "theirs"}, 422, "event.account"),
        ({**EVENT, "reservation_id": "r2"}, 422, "event.reservation_id"),
        ({**EVENT, "event_id": "other", "model": "changed"}, 409, "event.event_id"),
        ("text", 422, "event"),
    ):
        answer = settle(bound, room, event=event)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (status, attr)
    assert (state(), UsageLog.objects.count(), standing(account, now, "video_calls")) == (("held", False), 1, (1, 1))


def test_one_bad_event_of_a_batch_spoils_only_itself(bound: Api, room: str) -> None:
    answer = settle(bound, room, events=[EVENT, {**EVENT, "event_id": ""}])
    assert (answer.status_code, answer.json()["accepted"], state()) == (207, 1, ("settled", False))


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "event"),
        ({"event": EVENT, "events": [EVENT]}, "unknown_field", "event"),
        ({"event": EVENT, "more": 1}, "required", "event"),
        ({"events": []}, "min_length", "events"),
    ],
)
def test_a_bad_body_changes_nothing(bound: Api, room: str, body: dict[str, Any], code: str, attr: str) -> None:
    answer = settle(bound, room, **body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["attr"]) == (422, code, attr)
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_usage_that_names_the_reservation_settles_it(bound: Api, room: str, account: Account, now: datetime) -> None:
    answer = bound.post("usage/", {**EVENT, "reservation_id": "r1"})

    assert (answer.status_code, answer.json()["status"]) == (201, "accepted")
    assert (state(), standing(account, now, "video_calls")) == (("settled", False), (1, 0))
    assert settle(bound, room, event=EVENT).json()["status"] == "duplicate"
    assert state() == ("settled", False)


@pytest.mark.parametrize("name", ["R1", "r1 ", "r2"])
def test_an_unknown_reservation_is_refused(bound: Api, room: str, name: str) -> None:
    answer = bound.post("usage/", {**EVENT, "reservation_id": name})

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["attr"]) == (422, "unknown_reservation", "reservation_id")
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_another_accounts_reservation_is_unknown(service: Api, room: str) -> None:
    answer = service.post("usage/", {**EVENT, "account": "other", "reservation_id": "r1"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_reservation")
    assert (state(), Account.objects.count()) == (("held", False), 1)


def test_one_batch_settles_the_reservations_of_several_accounts(service: Api) -> None:
    for name in ("a", "b"):
        service.post("reservations/", {"account": name, "reservation_id": "r", "operations": [VIDEO]})
    batch = [{**EVENT, "event_id": f"e{n}", "account": name, "reservation_id": "r"} for n, name in enumerate("abab")]

    answer = service.post("usage/", {"events": batch})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 4)
    assert list(UsageReservation.objects.values_list("state", "over")) == [("settled", True)] * 2


def test_a_service_key_settles_for_the_account(service: Api, room: str, account: Account, now: datetime) -> None:
    assert settle(service, room, event={**EVENT, "account": "acct_42", "cost_usd": "0.3"}).status_code == 201
    assert standing(account, now, "monthly_cost") == (300_000_000, 0)


def test_it_needs_both_scopes(account: Account, room: str) -> None:
    for scopes in (["limits"], ["ingest"]):
        assert settle(Api(*scopes, account=account), room, event=EVENT).status_code == 403
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_another_accounts_reservation_does_not_exist(service: Api, room: str) -> None:
    service.post("accounts/", {"external_id": "other"})
    other = Api("limits", "ingest", account=Account.objects.get(external_id="other"))
    assert settle(other, room, event=EVENT).status_code == 404
    assert other.post(f"reservations/{room}/release/", {}).status_code == 404
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)
