"""`POST preflight/`: would these calls pass, together?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import accounts
from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import Account, UsageLog, UsageReservation
from billing.plans import plans
from tests.billing.caps import cap, override
from tests.billing.ledger_rows import set_price
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
TEXT = {"provider": "gemini", "category": "text", "model": "gemini-2.5-flash"}
UNKNOWN = {"provider": "gemini", "category": "text", "model": "nobody-knows"}
CENT = 10_000_000


def preflight(api: Api, *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = api.post("preflight/", {"operations": list(operations), **more})
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_the_very_first_call_of_a_period_passes(bound: Api) -> None:
    cap({"video_calls": 2, "monthly_cost": 2_000_000_000})

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


def test_operations_are_judged_together(bound: Api) -> None:
    cap({"video_calls": 2})

    told = preflight(bound, VIDEO, VIDEO, VIDEO)
    assert (told["allowed"], [one["allowed"] for one in told["operations"]]) == (False, [True, True, False])
    last = told["operations"][2]
    assert last["code"] == "limit_exceeded"
    assert last["reason"] == ("Video calls: 0 of 2 used, 2 reserved, 1 more asked for. Resets at 2026-12-01 00:00 UTC.")
    assert preflight(bound, {**VIDEO, "count": 3})["allowed"] is False
    assert preflight(bound, {**VIDEO, "count": 2})["allowed"] is True


def test_an_operation_that_is_refused_takes_no_room(bound: Api) -> None:
    cap({"video_calls": 2})

    told = preflight(bound, {**VIDEO, "count": 50}, VIDEO)
    assert [one["allowed"] for one in told["operations"]] == [False, True]


def test_zero_is_not_allowed_and_null_is_unlimited(bound: Api) -> None:
    cap({"video_calls": 0, "gemini_calls": None})

    told = preflight(bound, VIDEO, {**TEXT, "count": 10_000})
    assert [one["code"] for one in told["operations"]] == ["not_in_plan", None]
    assert told["operations"][0]["reason"] == "Video calls: not allowed, the limit is 0."
    meters = {line["meter"]: (line["limit"], line["remaining"]) for line in told["operations"][1]["meters"]}
    assert meters["gemini_calls"] == (None, None)


def test_a_plan_of_25_dollars_at_24_99_refuses_two_cents_and_lets_one_pass(
    bound: Api, account: Account, now: datetime
) -> None:
    cap({"monthly_cost": 25_000_000_000})
    record(account, now, {"cost_usd": "24.99"})

    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0.02"}})["operations"][0]["reason"] == (
        "Monthly cost: $24.99 of $25 used, $0 reserved, $0.02 more asked for. Resets at 2026-12-01 00:00 UTC."
    )
    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0.01"}})["allowed"] is True
    record(account, now, {"event_id": "cent", "cost_usd": "0.01"})
    assert preflight(bound, {**TEXT, "estimate": {"cost_usd": "0"}})["allowed"] is False


def test_an_estimate_is_priced_as_its_event_will_be(bound: Api, account: Account, now: datetime) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 100_000}
    told = preflight(bound, {**TEXT, "count": 2, "estimate": usage})
    record(account, now, {**TEXT, "usage": usage})

    assert told["estimated_cost_usd"] == "1.1"
    assert UsageLog.objects.get().cost_total * 2 == 1_100_000_000
    assert [line["requested"] for line in told["operations"][0]["meters"]] == ["1.1", 2, 2, 2_200_000]


def test_a_call_whose_price_is_unknown_passes_unless_the_policy_blocks_it(
    bound: Api, account: Account, settings: Any
) -> None:
    told = preflight(bound, UNKNOWN)["operations"][0]
    assert (told["allowed"], told["priced"], told["estimated_cost_usd"]) == (True, False, None)

    settings.UNPRICED_POLICY = "block"
    told = preflight(bound, UNKNOWN, TEXT)["operations"]
    assert [(one["allowed"], one["code"]) for one in told] == [(False, "unpriced_model"), (True, None)]
    assert preflight(bound, {**UNKNOWN, "estimate": {"cost_usd": "0.1"}})["allowed"] is True

    Account.objects.update(unpriced_policy="allow")
    assert preflight(bound, UNKNOWN)["allowed"] is True
    settings.UNPRICED_POLICY = "allow"
    Account.objects.update(unpriced_policy="block")
    assert preflight(bound, UNKNOWN)["allowed"] is False


def test_what_waiting_does_not_cure_is_told_first(bound: Api, account: Account) -> None:
    cap({"monthly_cost": 1, "video_calls": 0})
    told = preflight(bound, {**VIDEO, "estimate": {"cost_usd": "5"}})["operations"][0]
    assert (told["code"], [line["meter"] for line in told["meters"]]) == (
        "not_in_plan",
        ["monthly_cost", "video_calls"],
    )


def test_an_account_that_is_deactivated_runs_nothing(service: Api, account: Account) -> None:
    Account.objects.update(active=False)
    told = preflight(service, TEXT, account="acct_42")["operations"][0]
    assert (told["allowed"], told["code"], told["reason"]) == (
        False,
        "subscription_inactive",
        "This account is deactivated.",
    )


def test_a_soft_limit_shows_and_refuses_nothing(bound: Api, account: Account, now: datetime) -> None:
    cap({"video_calls": 1}, hard=False)
    record(account, now, {**VIDEO, "event_id": "a"}, {**VIDEO, "event_id": "b"})

    told = preflight(bound, VIDEO)["operations"][0]
    (line,) = [line for line in told["meters"] if line["meter"] == "video_calls"]
    assert (told["allowed"], line["limit"], line["used"], line["remaining"]) == (True, 1, 2, 0)


def test_a_change_of_plan_an_override_and_its_end_count_for_the_next_decision(
    bound: Api, account: Account, clock: Clock
) -> None:
    def allowed() -> object:
        return preflight(bound, VIDEO)["allowed"]

    assert allowed() is True
    cap({"video_calls": 0})
    assert allowed() is False
    row = override(account, "video_calls", 1)
    assert allowed() is True
    row.expires_on = datetime(2026, 11, 23, tzinfo=UTC).date()
    row.save(update_fields=["expires_on"])
    plans.configuration_changed(account)
    assert allowed() is True
    clock.move_to(datetime(2026, 11, 23, 0, 0, tzinfo=UTC))
    assert allowed() is False


def test_a_void_and_a_re_pricing_count_for_the_next_decision(bound: Api, account: Account, now: datetime) -> None:
    cap({"monthly_cost": 2_000_000_000, "video_calls": 1})
    video, _ = record(account, now, {**VIDEO, "cost_usd": "0.5"}, {"model": "gpt-99", "usage": {"input_tokens": 10**6}})
    assert preflight(bound, VIDEO)["operations"][0]["reason"].startswith("Video calls")

    corrections.void(video, reason="made twice", actor="test", at=now)
    assert preflight(bound, VIDEO)["allowed"] is True

    set_price("gpt-99", input_tokens="3")
    for _ in repricing.go_on(
        repricing.start(Choice(unpriced=True), reason="known", actor="test", at=now), size=9, at=now
    ):
        pass
    assert preflight(bound, VIDEO)["operations"][0]["reason"].startswith("Monthly cost")


def test_a_daily_limit_counts_the_accounts_local_day_across_a_change_of_clocks(service: Api, clock: Clock) -> None:
    """On 25 October 2026 Berlin has 25 hours: from 22:00 UTC on the 24th to 23:00 UTC on the 25th."""
    berlin = accounts.new(external_id="b", at=datetime(2026, 10, 1, tzinfo=UTC), timezone="Europe/Berlin")
    berlin.save(force_insert=True)
    cap({"video_calls": 1}, per="day")
    first, last = datetime(2026, 10, 24, 22, 0, tzinfo=UTC), datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)
    record(berlin, first, {**VIDEO, "occurred_at": first.isoformat()})

    for at, allowed in ((first, False), (last, False), (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), True)):
        clock.move_to(at)
        told = preflight(service, VIDEO, account="b")
        daily = next(line for line in told["operations"][0]["meters"] if line["per"] == "day")
        assert (told["allowed"], daily["used"]) == (allowed, 0 if allowed else 1)
    assert daily["resets_at"] == "2026-10-26T23:00:00Z"


def test_use_of_the_last_period_is_over_at_its_end_to_the_microsecond(
    bound: Api, account: Account, clock: Clock
) -> None:
    cap({"video_calls": 1})
    record(account, datetime(2026, 11, 30, 23, 59, tzinfo=UTC), VIDEO)

    for at, allowed in (
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), False),
        (datetime(2026, 12, 1, tzinfo=UTC), True),
    ):
        clock.move_to(at)
        assert preflight(bound, VIDEO)["allowed"] is allowed


def test_a_service_key_asks_about_an_account_that_its_first_event_would_make(service: Api, settings: Any) -> None:
    assert preflight(service, TEXT, account="new")["allowed"] is True
    assert Account.objects.count() == 0

    settings.CREATE_ACCOUNTS = False
    answer = service.post("preflight/", {"account": "new", "operations": [TEXT]})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_account")


BAD: list[tuple[dict[str, Any], str, str]] = [
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


@pytest.mark.parametrize(("body", "code", "attr"), BAD)
def test_a_bad_request_names_its_field(bound: Api, body: dict[str, Any], code: str, attr: str) -> None:
    answer = bound.post("preflight/", body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["code"], error["attr"]) == (code, attr)


def test_a_service_key_says_which_account(service: Api) -> None:
    for body in ({"operations": [TEXT]}, {"operations": [TEXT], "account": "a/b"}):
        answer = service.post("preflight/", body)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (422, "account")
    assert Account.objects.count() == 0


def test_it_needs_the_scope_limits(account: Account) -> None:
    answer = Api("ingest", "read", "manage", account=account).post("preflight/", {"operations": [TEXT]})
    assert answer.status_code == 403


@pytest.mark.parametrize("operations", [1, 50])
def test_three_queries(
    bound: Api, account: Account, now: datetime, django_assert_num_queries: DjangoAssertNumQueries, operations: int
) -> None:
    record(account, now, VIDEO)
    preflight(bound, TEXT)  # the key's use is noted, and the books are in memory
    with django_assert_num_queries(3):
        preflight(bound, *[TEXT] * operations)
