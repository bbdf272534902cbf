"""`POST preflight/`: whether calls would be allowed together, without reserving anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import accounts
from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import Account, UsageLog, UsageReservation
from billing.plans import plans
from tests.billing.ledger_rows import set_price
from tests.billing.plan_limits import override_limit, set_limits
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
TEXT = {"provider": "gemini", "category": "text", "model": "gemini-2.5-flash"}
UNKNOWN = {"provider": "gemini", "category": "text", "model": "nobody-knows"}
CENT = 10_000_000


def preflight(api: Api, *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = api.post("preflight/", {"operations": list(operations), **more})
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_the_first_call_of_a_period_is_allowed(bound: Api) -> None:
    set_limits({"video_calls": 2, "monthly_cost": 2_000_000_000})

    assert preflight(bound, {**VIDEO, "estimate": {"cost_usd": "0.25"}}) == {
        "allowed": True,
        "estimated_cost_usd": "0.25",
        "operations": [
            {
                "allowed": True,
                "estimated_cost_usd": "0.25",
                "priced": True,
                "actual_provider": "wavespeed",
                "meters": [
                    {
                        "per": "period",
                        "meter": "monthly_cost",
                        "limit": "2",
                        "used": "0",
                        "reserved": "0",
                        "requested": "0.25",
                        "resets_at": "2026-12-01T00:00:00Z",
                        "remaining": "2",
                    },
                    {
                        "per": "period",
                        "meter": "video_calls",
                        "limit": 2,
                        "used": 0,
                        "reserved": 0,
                        "requested": 1,
                        "resets_at": "2026-12-01T00:00:00Z",
                        "remaining": 2,
                    },
                ],
                "code": None,
                "reason": None,
            }
        ],
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert (UsageLog.objects.count(), UsageReservation.objects.count()) == (0, 0)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_operations_are_checked_together(bound: Api) -> None:
    set_limits({"video_calls": 2})

    body = preflight(bound, VIDEO, VIDEO, VIDEO)
    assert (body["allowed"], [operation["allowed"] for operation in body["operations"]]) == (False, [True, True, False])
    last = body["operations"][2]
    assert last["code"] == "limit_exceeded"
    assert last["reason"] == ("Video calls: 0 of 2 used, 2 reserved, 1 requested. Resets at 2026-12-01 00:00 UTC.")
    assert preflight(bound, {**VIDEO, "count": 3})["allowed"] is False
    assert preflight(bound, {**VIDEO, "count": 2})["allowed"] is True


def test_a_refused_operation_takes_nothing_from_a_limit(bound: Api) -> None:
    set_limits({"video_calls": 2})

    body = preflight(bound, {**VIDEO, "count": 50}, VIDEO)
    assert [operation["allowed"] for operation in body["operations"]] == [False, True]


def test_zero_is_not_allowed_and_null_is_unlimited(bound: Api) -> None:
    set_limits({"video_calls": 0, "gemini_calls": None})

    body = preflight(bound, VIDEO, {**TEXT, "count": 10_000})
    assert [operation["code"] for operation in body["operations"]] == ["not_in_plan", None]
    assert body["operations"][0]["reason"] == "Video calls: not allowed, the limit is 0."
    meters = {meter["meter"]: (meter["limit"], meter["remaining"]) for meter in body["operations"][1]["meters"]}
    assert meters["gemini_calls"] == (None, None)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_plan_of_25_dollars_at_24_99_refuses_two_cents_and_allows_one(
    bound: Api, account: Account, now: datetime
) -> None:
    set_limits({"monthly_cost": 25_000_000_000})
    record(account, now, {"cost_usd": "24.99"})

    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0.02"}})["operations"][0]["reason"] == (
        "Monthly cost: $24.99 of $25 used, $0 reserved, $0.02 requested. Resets at 2026-12-01 00:00 UTC."
    )
    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0.01"}})["allowed"] is True
    record(account, now, {"event_id": "cent", "cost_usd": "0.01"})
    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0"}})["allowed"] is False


def test_an_estimate_is_priced_like_its_event(bound: Api, account: Account, now: datetime) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 100_000}
    body = preflight(bound, {**TEXT, "count": 2, "estimate": usage})
    record(account, now, {**TEXT, "usage": usage})

    assert body["estimated_cost_usd"] == "1.1"
    assert UsageLog.objects.get().cost_total * 2 == 1_100_000_000
    assert [meter["requested"] for meter in body["operations"][0]["meters"]] == ["1.1", 2, 2, 2_200_000]


def test_an_unpriced_call_is_allowed_unless_the_policy_blocks_it(bound: Api, account: Account, settings: Any) -> None:
    operation = preflight(bound, UNKNOWN)["operations"][0]
    assert (operation["allowed"], operation["priced"], operation["estimated_cost_usd"]) == (True, False, None)

    settings.UNPRICED_POLICY = "block"
    operations = preflight(bound, UNKNOWN, TEXT)["operations"]
    assert [(operation["allowed"], operation["code"]) for operation in operations] == [
        (False, "unpriced_model"),
        (True, None),
    ]
    assert preflight(bound, {**UNKNOWN, "estimate": {"cost_usd": "0.1"}})["allowed"] is True

    Account.objects.update(unpriced_policy="allow")
    assert preflight(bound, UNKNOWN)["allowed"] is True
    settings.UNPRICED_POLICY = "allow"
    Account.objects.update(unpriced_policy="block")
    assert preflight(bound, UNKNOWN)["allowed"] is False


def test_a_call_under_a_condition_that_its_price_does_not_know_is_unpriced(bound: Api, settings: Any) -> None:
    settings.UNPRICED_POLICY = "block"
    text = {**TEXT, "estimate": {"input_tokens": 1000}}
    operation = preflight(bound, {**text, "variant": {"service_tier": "batch"}})["operations"][0]
    assert (operation["allowed"], operation["priced"], operation["code"]) == (False, False, "unpriced_model")
    default = preflight(bound, {**text, "variant": {"service_tier": "default"}})["operations"][0]
    assert (default["allowed"], default["priced"]) == (True, True)


def test_a_refusal_that_waiting_does_not_cure_is_reported_first(bound: Api, account: Account) -> None:
    set_limits({"monthly_cost": 1, "video_calls": 0})
    operation = preflight(bound, {**VIDEO, "estimate": {"cost_usd": "5"}})["operations"][0]
    assert (operation["code"], [meter["meter"] for meter in operation["meters"]]) == (
        "not_in_plan",
        ["monthly_cost", "video_calls"],
    )


def test_a_deactivated_account_may_run_nothing(service: Api, account: Account) -> None:
    Account.objects.update(active=False)
    operation = preflight(service, TEXT, account="acct_42")["operations"][0]
    assert (operation["allowed"], operation["code"], operation["reason"]) == (
        False,
        "subscription_inactive",
        "This account is deactivated.",
    )


def test_a_soft_limit_is_shown_and_refuses_nothing(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"video_calls": 1}, hard=False)
    record(account, now, {**VIDEO, "event_id": "a"}, {**VIDEO, "event_id": "b"})

    operation = preflight(bound, VIDEO)["operations"][0]
    (meter,) = [meter for meter in operation["meters"] if meter["meter"] == "video_calls"]
    assert (operation["allowed"], meter["limit"], meter["used"], meter["remaining"]) == (True, 1, 2, 0)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_new_plan_an_override_and_its_end_apply_to_the_next_decision(
    bound: Api, account: Account, clock: Clock
) -> None:
    def allowed() -> object:
        return preflight(bound, VIDEO)["allowed"]

    assert allowed() is True
    set_limits({"video_calls": 0})
    assert allowed() is False
    limit_override = override_limit(account, "video_calls", 1)
    assert allowed() is True
    limit_override.expires_on = datetime(2026, 11, 23, tzinfo=UTC).date()
    limit_override.save(update_fields=["expires_on"])
    plans.bump_config_version(account)
    assert allowed() is True
    clock.move_to(datetime(2026, 11, 23, 0, 0, tzinfo=UTC))
    assert allowed() is False


def test_a_void_and_a_re_pricing_apply_to_the_next_decision(bound: Api, account: Account, now: datetime) -> None:
    set_limits({"monthly_cost": 2_000_000_000, "video_calls": 1})
    video, _ = record(account, now, {**VIDEO, "cost_usd": "0.5"}, {"model": "gpt-99", "usage": {"input_tokens": 10**6}})
    assert preflight(bound, VIDEO)["operations"][0]["reason"].startswith("Video calls")

    corrections.void(video, reason="made twice", actor="test", at=now)
    assert preflight(bound, VIDEO)["allowed"] is True

    set_price("gpt-99", input_tokens="3")
    for _ in repricing.run(
        repricing.start(RepricingChoice(unpriced=True), reason="known", actor="test", at=now), size=9, clock=lambda: now
    ):
        pass
    assert preflight(bound, VIDEO)["operations"][0]["reason"].startswith("Monthly cost")


def test_a_daily_limit_counts_the_accounts_local_day_across_a_clock_change(service: Api, clock: Clock) -> None:
    """On 25 October 2026 Berlin has 25 hours: from 22:00 UTC on the 24th to 23:00 UTC on the 25th."""
    berlin = accounts.build(external_id="b", at=datetime(2026, 10, 1, tzinfo=UTC), timezone="Europe/Berlin")
    berlin.save(force_insert=True)
    set_limits({"video_calls": 1}, per="day")
    first, last = datetime(2026, 10, 24, 22, 0, tzinfo=UTC), datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)
    record(berlin, first, {**VIDEO, "occurred_at": first.isoformat()})

    for at, allowed in ((first, False), (last, False), (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), True)):
        clock.move_to(at)
        body = preflight(service, VIDEO, account="b")
        daily = next(meter for meter in body["operations"][0]["meters"] if meter["per"] == "day")
        assert (body["allowed"], daily["used"]) == (allowed, 0 if allowed else 1)
    assert daily["resets_at"] == "2026-10-26T23:00:00Z"


def test_usage_of_a_period_stops_counting_at_its_end_to_the_microsecond(
    bound: Api, account: Account, clock: Clock
) -> None:
    set_limits({"video_calls": 1})
    record(account, datetime(2026, 11, 30, 23, 59, tzinfo=UTC), VIDEO)

    for at, allowed in (
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), False),
        (datetime(2026, 12, 1, tzinfo=UTC), True),
    ):
        clock.move_to(at)
        assert preflight(bound, VIDEO)["allowed"] is allowed


def test_a_service_key_may_check_an_account_that_does_not_exist_yet(service: Api, settings: Any) -> None:
    assert preflight(service, TEXT, account="new")["allowed"] is True
    assert Account.objects.count() == 0

    settings.CREATE_ACCOUNTS = False
    response = service.post("preflight/", {"account": "new", "operations": [TEXT]})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_account")


BAD_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "required", "operations"),
    ({"operations": []}, "min_length", "operations"),
    ({"operations": [TEXT] * 101}, "max_length", "operations"),
    ({"operations": TEXT}, "invalid", "operations"),
    ({"operations": [{}]}, "required", "operations.0.provider"),
    ({"operations": [TEXT], "more": 1}, "unknown_field", "more"),
    ({"operations": [{**TEXT, "event_id": "x"}]}, "unknown_field", "operations.0.event_id"),
    ({"operations": [{**TEXT, "count": 0}]}, "min_value", "operations.0.count"),
    ({"operations": [{**TEXT, "count": 10_001}]}, "max_value", "operations.0.count"),
    ({"operations": [{**TEXT, "count": True}]}, "invalid", "operations.0.count"),
    ({"operations": [{**TEXT, "count": 1.5}]}, "invalid", "operations.0.count"),
    ({"operations": [TEXT, {**TEXT, "model": "a\x00"}]}, "invalid", "operations.1.model"),
    ({"operations": [{**TEXT, "estimate": {"tokens": 1}}]}, "unknown_field", "operations.0.estimate.tokens"),
    ({"operations": [{**TEXT, "estimate": {"input_tokens": -1}}]}, "min_value", "operations.0.estimate.input_tokens"),
    ({"operations": [{**TEXT, "estimate": {"seconds": "1e9"}}]}, "invalid", "operations.0.estimate.seconds"),
    ({"operations": [{**TEXT, "estimate": {"cost_usd": 1}}]}, "invalid", "operations.0.estimate.cost_usd"),
    ({"operations": [{**TEXT, "estimate": {"cost_usd": "-1"}}]}, "invalid", "operations.0.estimate.cost_usd"),
    ({"operations": [{**TEXT, "count": 10_000, "estimate": {"cost_usd": "101"}}]}, "max_value", "operations"),
    ({"operations": [TEXT], "account": "a/b"}, "invalid", "account"),
    ({"operations": [TEXT], "account": "other"}, "unknown_account", "account"),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD_BODIES)
def test_a_bad_request_names_its_field(bound: Api, body: dict[str, Any], code: str, attr: str) -> None:
    response = bound.post("preflight/", body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["code"], error["attr"]) == (code, attr)


def test_a_service_key_must_name_the_account(service: Api) -> None:
    for body in ({"operations": [TEXT]}, {"operations": [TEXT], "account": "a/b"}):
        response = service.post("preflight/", body)
        assert (response.status_code, response.json()["errors"][0]["attr"]) == (422, "account")
    assert Account.objects.count() == 0


def test_the_scope_limits_is_required(account: Account) -> None:
    response = Api("ingest", "read", "manage", account=account).post("preflight/", {"operations": [TEXT]})
    assert response.status_code == 403


@pytest.mark.parametrize("operations", [1, 50])
def test_the_number_of_queries_is_fixed(
    bound: Api, account: Account, now: datetime, django_assert_num_queries: DjangoAssertNumQueries, operations: int
) -> None:
    record(account, now, VIDEO)
    preflight(bound, TEXT)  # records the key's use, and caches the snapshot
    with django_assert_num_queries(3):
        preflight(bound, *[TEXT] * operations)
