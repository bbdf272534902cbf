"""`POST reservations/{id}/settle/`, and usage that names a reservation: recorded in full, and the hold freed once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.limits import reservations
from billing.models import Account, UsageLog, UsageReservation
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
EVENT = {**VIDEO, "event_id": "e1"}  # costs $0.25
RESERVED_ONE = (0, 1)


@pytest.fixture
def reservation(bound: Api) -> str:
    """A reservation of one video call, `r1`."""
    set_limits({"video_calls": 1, "monthly_cost": 2_000_000_000})
    response = bound.post("reservations/", {"reservation_id": "r1", "operations": [VIDEO]})
    return str(response.json()["id"])


def settle(api: Api, reservation: str, **body: Any) -> Any:
    return api.post(f"reservations/{reservation}/settle/", body)


def state() -> tuple[str, bool]:
    row = UsageReservation.objects.get()
    return row.state, row.over


def expire(clock: Clock, now: datetime) -> datetime:
    later = now + timedelta(seconds=900)
    clock.move_to(later)
    return later


def assert_rollups_match() -> None:
    assert rollup_differences() == []


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_usage_is_recorded_and_the_hold_is_freed(bound: Api, reservation: str, account: Account, now: datetime) -> None:
    assert used_and_reserved(account, now, "video_calls") == RESERVED_ONE
    response = settle(bound, reservation, event=EVENT)

    log = UsageLog.objects.get()
    assert (response.status_code, response.json()) == (
        201,
        {
            "event_id": "e1",
            "status": "accepted",
            "id": str(log.pk),
            "actual_provider": "wavespeed",
            "confidence": "strong",
            "cost_usd": "0.25",
            "priced": True,
            "usage_state": "complete",
            "unpriced_reason": None,
            "reservation": {
                "id": reservation,
                "reservation_id": "r1",
                "state": "settled",
                "over": False,
                "expires_at": "2026-11-22T12:15:00Z",
            },
        },
    )
    assert used_and_reserved(account, now, "video_calls") == (1, 0)
    assert UsageReservation.objects.get().decided_at == now
    assert_rollups_match()


def test_a_repeated_settle_is_a_duplicate(bound: Api, reservation: str, account: Account, now: datetime) -> None:
    settle(bound, reservation, event=EVENT)
    repeated = settle(bound, reservation, event=EVENT)

    assert (repeated.status_code, repeated.json()["status"]) == (200, "duplicate")
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_a_batch_settles_once(bound: Api, reservation: str, account: Account, now: datetime) -> None:
    response = settle(
        bound, reservation, events=[EVENT, {**EVENT, "event_id": "e2", "status_code": 500, "usage": {"requests": 0}}]
    )

    assert (response.status_code, response.json()["accepted"]) == (200, 2)
    assert response.json()["reservation"]["state"] == "settled"
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_usage_above_the_hold_is_recorded_in_full_and_flagged(
    bound: Api, reservation: str, account: Account, now: datetime
) -> None:
    response = settle(bound, reservation, events=[EVENT, {**EVENT, "event_id": "e2"}])

    assert response.json()["accepted"] == 2
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", True), (2, 0))
    assert_rollups_match()


def test_usage_of_another_provider_than_reserved_is_flagged(bound: Api, reservation: str) -> None:
    set_limits({"openai_calls": 5})
    settle(bound, reservation, event={"event_id": "e1", "provider": "openai", "category": "text"})
    assert state() == ("settled", True)


def test_usage_above_the_hold_of_an_unlimited_meter_is_not_flagged(bound: Api, reservation: str) -> None:
    set_limits({"video_calls": 1})
    settle(bound, reservation, event={**EVENT, "usage": {"input_tokens": 1_000_000}})
    assert state() == ("settled", False)


@pytest.mark.parametrize("swept", [False, True])
def test_usage_after_expiry_is_recorded_in_full_and_flagged(
    bound: Api, reservation: str, account: Account, now: datetime, clock: Clock, swept: bool
) -> None:
    later = expire(clock, now)
    if swept:
        reservations.expire(later)

    response = settle(bound, reservation, event=EVENT)
    assert (response.status_code, response.json()["reservation"]["over"]) == (201, True)
    assert (state(), used_and_reserved(account, later, "video_calls")) == (("settled", True), (1, 0))


def test_usage_after_release_is_recorded_in_full_and_flagged(
    bound: Api, reservation: str, account: Account, now: datetime
) -> None:
    bound.post(f"reservations/{reservation}/release/", {})

    assert settle(bound, reservation, event=EVENT).status_code == 201
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("released", True), (1, 0))


def test_more_usage_after_settling_is_recorded_and_flagged(
    bound: Api, reservation: str, account: Account, now: datetime
) -> None:
    settle(bound, reservation, event=EVENT)
    assert settle(bound, reservation, event={**EVENT, "event_id": "e2"}).status_code == 201
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", True), (2, 0))


def test_usage_already_recorded_elsewhere_frees_the_hold(
    bound: Api, reservation: str, account: Account, now: datetime
) -> None:
    bound.post("usage/", EVENT)
    assert used_and_reserved(account, now, "video_calls") == (1, 1)

    assert settle(bound, reservation, event=EVENT).json()["status"] == "duplicate"
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", False), (1, 0))


def test_a_batch_of_duplicates_frees_the_hold(bound: Api, reservation: str) -> None:
    batch = [{**EVENT, "event_id": f"e{n}"} for n in range(60)]
    bound.post("usage/", {"events": batch})

    response = settle(bound, reservation, events=batch)
    assert (response.status_code, response.json()["duplicates"], state()) == (200, 60, ("settled", False))


def test_a_refused_event_changes_nothing(bound: Api, reservation: str, account: Account, now: datetime) -> None:
    bound.post("usage/", {**EVENT, "event_id": "other"})
    for event, status, attr in (
        ({**EVENT, "usage": {"input_tokens": -1}}, 422, "event.usage.input_tokens"),
        ({**EVENT, "account": "theirs"}, 422, "event.account"),
        ({**EVENT, "reservation_id": "r2"}, 422, "event.reservation_id"),
        ({**EVENT, "event_id": "other", "model": "changed"}, 409, "event.event_id"),
        ("text", 422, "event"),
    ):
        response = settle(bound, reservation, event=event)
        assert (response.status_code, response.json()["errors"][0]["attr"]) == (status, attr)
    assert (state(), UsageLog.objects.count(), used_and_reserved(account, now, "video_calls")) == (
        ("held", False),
        1,
        (1, 1),
    )


def test_a_bad_event_of_a_batch_is_rejected_alone(bound: Api, reservation: str) -> None:
    response = settle(bound, reservation, events=[EVENT, {**EVENT, "event_id": ""}])
    assert (response.status_code, response.json()["accepted"], state()) == (207, 1, ("settled", False))


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "event"),
        ({"event": EVENT, "events": [EVENT]}, "unknown_field", "event"),
        ({"event": EVENT, "more": 1}, "required", "event"),
        ({"events": []}, "min_length", "events"),
    ],
)
def test_a_bad_body_changes_nothing(bound: Api, reservation: str, body: dict[str, Any], code: str, attr: str) -> None:
    response = settle(bound, reservation, **body)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (422, code, attr)
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_usage_that_names_the_reservation_settles_it(
    bound: Api, reservation: str, account: Account, now: datetime
) -> None:
    response = bound.post("usage/", {**EVENT, "reservation_id": "r1"})

    assert (response.status_code, response.json()["status"]) == (201, "accepted")
    assert (state(), used_and_reserved(account, now, "video_calls")) == (("settled", False), (1, 0))
    assert settle(bound, reservation, event=EVENT).json()["status"] == "duplicate"
    assert state() == ("settled", False)


@pytest.mark.parametrize("name", ["R1", "r1 ", "r2"])
def test_an_unknown_reservation_is_refused(bound: Api, reservation: str, name: str) -> None:
    response = bound.post("usage/", {**EVENT, "reservation_id": name})

    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (422, "unknown_reservation", "reservation_id")
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_another_accounts_reservation_is_unknown(service: Api, reservation: str) -> None:
    response = service.post("usage/", {**EVENT, "account": "other", "reservation_id": "r1"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_reservation")
    assert (state(), Account.objects.count()) == (("held", False), 1)


def test_one_batch_settles_the_reservations_of_several_accounts(service: Api) -> None:
    for name in ("a", "b"):
        service.post("reservations/", {"account": name, "reservation_id": "r", "operations": [VIDEO]})
    batch = [{**EVENT, "event_id": f"e{n}", "account": name, "reservation_id": "r"} for n, name in enumerate("abab")]

    response = service.post("usage/", {"events": batch})
    assert (response.status_code, response.json()["accepted"]) == (200, 4)
    assert list(UsageReservation.objects.values_list("state", "over")) == [("settled", True)] * 2


def test_a_service_key_settles_for_the_account(service: Api, reservation: str, account: Account, now: datetime) -> None:
    assert settle(service, reservation, event={**EVENT, "account": "acct_42", "cost_usd": "0.3"}).status_code == 201
    assert used_and_reserved(account, now, "monthly_cost") == (300_000_000, 0)


def test_both_scopes_are_required(account: Account, reservation: str) -> None:
    for scopes in (["limits"], ["ingest"]):
        assert settle(Api(*scopes, account=account), reservation, event=EVENT).status_code == 403
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)


def test_another_accounts_reservation_does_not_exist(service: Api, reservation: str) -> None:
    service.post("accounts/", {"external_id": "other"})
    other = Api("limits", "ingest", account=Account.objects.get(external_id="other"))
    assert settle(other, reservation, event=EVENT).status_code == 404
    assert other.post(f"reservations/{reservation}/release/", {}).status_code == 404
    assert (state(), UsageLog.objects.count()) == (("held", False), 0)
