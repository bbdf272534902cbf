"""`POST reservations/`, release, and the expiry of holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from billing.limits import operations, reservations
from billing.models import Account, UsageHold, UsageLog, UsageReservation
from tests.billing.plan_limits import override_limit, set_limits, used_and_reserved
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
TEXT = {"provider": "gemini", "category": "text", "model": "gemini-2.5-flash"}


def reserve(api: Api, name: str, *operations: dict[str, Any], **more: Any) -> Any:
    return api.post("reservations/", {"reservation_id": name, "operations": list(operations or [VIDEO]), **more})


def stored() -> tuple[int, int]:
    return UsageReservation.objects.count(), UsageHold.objects.count()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_reservation_is_held(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"video_calls": 2})
    response = reserve(bound, "r1", {**VIDEO, "estimate": {"cost_usd": "0.25"}})

    row = UsageReservation.objects.get()
    assert (response.status_code, response.json()) == (
        201,
        {
            "id": str(row.pk),
            "reservation_id": "r1",
            "state": "held",
            "over": False,
            "expires_at": "2026-11-22T12:15:00Z",
            "allowed": True,
            "estimated_cost_usd": "0.25",
            "operations": [
                {
                    "allowed": True,
                    "estimated_cost_usd": "0.25",
                    "priced": True,
                    "actual_provider": "wavespeed",
                    "meters": response.json()["operations"][0]["meters"],
                    "code": None,
                    "reason": None,
                }
            ],
            "resets_at": "2026-12-01T00:00:00Z",
        },
    )
    assert (str(row.period), row.created_at) == ("2026-11-01", now)
    assert used_and_reserved(account, now, "video_calls") == (0, 1)
    assert used_and_reserved(account, now, "monthly_cost") == (0, 250_000_000)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_the_last_call_under_a_limit_is_reserved_once(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"video_calls": 2})
    record(account, now, VIDEO)

    assert reserve(bound, "r1").status_code == 201
    response = reserve(bound, "r2")
    assert response.status_code == 429
    assert response.json() == {
        "type": "client_error",
        "errors": [
            {
                "code": "limit_exceeded",
                "detail": "Video calls: 1 of 2 used, 1 reserved, 1 requested. Resets at 2026-12-01 00:00 UTC.",
                "attr": None,
            }
        ],
        "limit": {
            "meter": "video_calls",
            "limit": 2,
            "used": 1,
            "reserved": 1,
            "requested": 1,
            "resets_at": "2026-12-01T00:00:00Z",
        },
    }
    assert response["Retry-After"] == "5"  # only holds of running calls use up the limit
    assert stored() == (1, 1)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_used_up_limit_says_when_its_period_ends(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"video_calls": 1})
    record(account, now, VIDEO)

    response = reserve(bound, "r1")
    assert (response.status_code, response["Retry-After"]) == (429, str(8 * 86_400 + 12 * 3_600))
    assert stored() == (0, 0)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_call_that_is_not_in_the_plan_is_403_with_the_limit(bound: Api) -> None:
    set_limits({"video_calls": 0})
    response = reserve(bound, "r1")

    assert (response.status_code, response.json()["errors"][0]["code"]) == (403, "not_in_plan")
    assert response.json()["limit"] == {
        "meter": "video_calls",
        "limit": 0,
        "used": 0,
        "reserved": 0,
        "requested": 1,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert "Retry-After" not in response
    assert stored() == (0, 0)


def test_a_blocked_unpriced_call_is_403_without_a_limit(bound: Api, settings: Any) -> None:
    settings.UNPRICED_POLICY = "block"
    response = reserve(bound, "r1", {"provider": "gemini", "model": "nobody-knows", "category": "text"})

    assert (response.status_code, response.json()["errors"][0]["code"]) == (403, "unpriced_model")
    assert "limit" not in response.json()
    assert stored() == (0, 0)


def test_a_deactivated_account_is_402(service: Api, account: Account) -> None:
    Account.objects.update(active=False)
    response = reserve(service, "r1", account="acct_42")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (402, "subscription_inactive")
    assert stored() == (0, 0)


def test_operations_are_reserved_all_or_nothing(bound: Api) -> None:
    set_limits({"video_calls": 5, "monthly_cost": 1_000_000_000})
    priced = {**VIDEO, "estimate": {"cost_usd": "0.4"}}

    response = reserve(bound, "r1", priced, priced, priced)
    assert (response.status_code, response.json()["limit"]["meter"]) == (429, "monthly_cost")
    assert response.json()["limit"]["reserved"] == "0.8"
    assert stored() == (0, 0)
    assert reserve(bound, "r2", priced, priced).status_code == 201
    assert stored() == (1, 1)


def test_a_repeated_request_gets_the_first_grant_in_any_state(bound: Api, account: Account, clock: Clock) -> None:
    set_limits({"video_calls": 1})
    first = reserve(bound, "r1").json()

    for state in ("held", "released"):
        repeated = reserve(bound, "r1")
        assert (repeated.status_code, repeated.json()) == (200, {**first, "state": state})
        bound.post(f"reservations/{first['id']}/release/", {})
    reserve(bound, "r2")
    clock.shift(900)
    assert reserve(bound, "r2").json()["state"] == "expired"
    override_limit(account, "video_calls", 0)
    assert reserve(bound, "r1").status_code == 200
    assert stored() == (2, 2)


@pytest.mark.parametrize("change", [{"ttl_seconds": 60}, {"operations": [{**VIDEO, "count": 2}]}])
def test_the_same_id_with_another_request_is_409(bound: Api, change: dict[str, Any]) -> None:
    first = reserve(bound, "r1").json()
    body = {"reservation_id": "r1", "operations": [VIDEO], **change}

    response = bound.post("reservations/", body)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (409, "reservation_conflict")
    assert reserve(bound, "r1").json() == first
    assert stored() == (1, 1)


def test_the_same_request_with_explicit_defaults_is_a_repeat(bound: Api) -> None:
    reserve(bound, "r1")
    response = reserve(
        bound, "r1", {**VIDEO, "count": 1, "served_by": None, "estimate": {"requests": 1}}, ttl_seconds=900
    )
    assert response.status_code == 200


def test_a_refusal_is_not_remembered(bound: Api, account: Account) -> None:
    set_limits({"video_calls": 0})
    assert reserve(bound, "r1").status_code == 403
    override_limit(account, "video_calls", 1)
    assert reserve(bound, "r1").status_code == 201


def test_ids_are_exact_and_unique_per_account(service: Api) -> None:
    for account, name in (("a", "R1"), ("a", "r1"), ("a", "r1 "), ("b", "r1")):
        assert reserve(service, name, TEXT, account=account).status_code == 201
    assert stored() == (4, 4)


def test_a_leaked_reservation_expires_without_any_job(bound: Api, clock: Clock) -> None:
    set_limits({"video_calls": 1})
    reserve(bound, "r1", ttl_seconds=60)

    clock.shift(59.999_999)
    assert reserve(bound, "r2").status_code == 429
    clock.shift(0.000_001)
    assert reserve(bound, "r2").status_code == 201
    assert UsageReservation.objects.get(reservation_id="r1").state == "held"  # no sweep has run yet


def test_the_sweep_marks_only_expired_reservations(bound: Api, clock: Clock) -> None:
    reserve(bound, "short", TEXT, ttl_seconds=60)
    reserve(bound, "long", TEXT, ttl_seconds=61)
    clock.shift(60)

    assert (reservations.expire(timezone.now()), reservations.expire(timezone.now())) == (1, 0)
    states = dict(UsageReservation.objects.values_list("reservation_id", "state"))
    assert states == {"short": "expired", "long": "held"}


def test_a_hold_also_counts_in_the_next_period(bound: Api, clock: Clock) -> None:
    """The call may end in either period, so its hold reduces the room in both."""
    set_limits({"video_calls": 1})
    clock.move_to("2026-11-30T23:59:59")
    reserve(bound, "r1", ttl_seconds=60)
    clock.shift(30)
    assert reserve(bound, "r2").status_code == 429
    clock.shift(30)
    assert reserve(bound, "r2").status_code == 201


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_release_frees_the_hold_once(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"video_calls": 1})
    first = reserve(bound, "r1").json()["id"]

    for _ in range(2):
        response = bound.post(f"reservations/{first}/release/", {})
        assert (response.status_code, response.json()) == (
            200,
            {
                "id": first,
                "reservation_id": "r1",
                "state": "released",
                "over": False,
                "expires_at": "2026-11-22T12:15:00Z",
            },
        )
    assert used_and_reserved(account, now, "video_calls") == (0, 0)
    second = reserve(bound, "r2")
    assert second.status_code == 201
    bound.post(f"reservations/{first}/release/", {})
    assert used_and_reserved(account, now, "video_calls") == (0, 1)


def test_release_after_expiry_changes_nothing(bound: Api, clock: Clock) -> None:
    first = reserve(bound, "r1", TEXT).json()["id"]
    clock.shift(900)
    assert bound.post(f"reservations/{first}/release/", {}).json()["state"] == "expired"
    assert UsageReservation.objects.get().decided_at is None


def test_a_service_keys_first_reservation_creates_the_account(service: Api, settings: Any) -> None:
    assert reserve(service, "r1", TEXT, account="new").status_code == 201
    assert Account.objects.get().external_id == "new"

    settings.CREATE_ACCOUNTS = False
    assert reserve(service, "r1", TEXT, account="newer").status_code == 422
    assert Account.objects.count() == 1


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"reservation_id": None}, "null", "reservation_id"),
    ({"reservation_id": ""}, "min_length", "reservation_id"),
    ({"reservation_id": "x" * 257}, "max_length", "reservation_id"),
    ({"reservation_id": "a\x00"}, "invalid", "reservation_id"),
    ({"reservation_id": "a\ud800"}, "invalid", "reservation_id"),
    ({"reservation_id": 5}, "invalid", "reservation_id"),
    ({"ttl_seconds": 0}, "min_value", "ttl_seconds"),
    ({"ttl_seconds": 86_401}, "max_value", "ttl_seconds"),
    ({"ttl_seconds": "900"}, "invalid", "ttl_seconds"),
    ({"state": "settled"}, "unknown_field", "state"),
    ({"operations": []}, "min_length", "operations"),
    ({"operations": [{"provider": ""}]}, "min_length", "operations.0.provider"),
    ({"account": "theirs"}, "unknown_account", "account"),
]


@pytest.mark.parametrize(("change", "code", "attr"), BAD_FIELDS)
def test_a_bad_field_is_refused_and_nothing_is_held(bound: Api, change: dict[str, Any], code: str, attr: str) -> None:
    response = bound.post("reservations/", {"reservation_id": "r1", "operations": [TEXT]} | change)

    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (422, code, attr)
    assert stored() == (0, 0)


def test_a_total_above_the_maximum_is_refused(bound: Api) -> None:
    set_limits({})
    expensive = {**TEXT, "count": 10, "estimate": {"cost_usd": "100000"}}
    for number in range(3):
        assert reserve(bound, f"r{number}", expensive).status_code == 201
    UsageHold.objects.update(cost_nano=2_999_999_999_999_999_999)
    response = reserve(bound, "more", expensive)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "max_value")
    assert stored() == (3, 3)


def test_the_scope_limits_is_required(account: Account) -> None:
    api = Api("ingest", "read", "manage", account=account)
    assert reserve(api, "r1").status_code == 403
    assert stored() == (0, 0)


def test_a_reservation_records_no_usage(bound: Api) -> None:
    reserve(bound, "r1", TEXT)
    assert UsageLog.objects.count() == 0


EXCESSES = [
    ({"input_tokens": 10, "cache_write_tokens": 11}, "cache_write_tokens"),
    ({"output_tokens": 5, "reasoning_tokens": 6}, "reasoning_tokens"),
    ({"input_tokens": 5, "input_audio_tokens": 3, "image_tokens": 3}, "image_tokens"),
]


@pytest.mark.parametrize(("estimate", "field"), EXCESSES)
def test_an_estimate_with_more_of_a_part_than_of_its_whole_is_422(
    bound: Api, account: Account, estimate: dict[str, int], field: str
) -> None:
    calls: list[dict[str, Any]] = [TEXT, {**TEXT, "estimate": estimate}]
    for response in (reserve(bound, "r1", *calls), bound.post("preflight/", {"operations": calls})):
        assert response.status_code == 422
        errors = [(error["code"], error["attr"]) for error in response.json()["errors"]]
        assert errors == [("invalid", f"operations.1.estimate.{field}")]
    assert stored() == (0, 0)


def test_a_repeat_of_what_an_earlier_release_granted_is_a_success(
    bound: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = {**TEXT, "estimate": EXCESSES[0][0]}
    with monkeypatch.context() as earlier:
        earlier.setattr(operations, "find_excess_part", lambda _: None)
        first = reserve(bound, "r1", operation)
    again = reserve(bound, "r1", operation)

    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json(), stored()) == (first.json(), (1, 1))
    assert reserve(bound, "r2", operation).status_code == 422
