"""Calls whose usage is not known in full: aborted, or read in part or not at all. They are never free."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command

from billing.models import Account, UsageDay, UsageLog
from billing.recording.metered_call import metered_call
from tests.billing.ledger_rows import set_price
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

GPT: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "category": "text"}
ABORTED: dict[str, Any] = {**GPT, "event_id": "a1", "status_code": 499}
ESTIMATE = {"input_tokens": 1000, "output_tokens": 500}  # $0.0075
CHUNK: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "model": "gpt-4o",
    "choices": [{}],
    "usage": None,
}
START = {
    "type": "message_start",
    "message": {"id": "m1", "model": "claude-3-5-sonnet-latest", "usage": {"input_tokens": 1000, "output_tokens": 1}},
}


@pytest.fixture(autouse=True)
def _limits(db: None) -> None:
    set_limits({"openai_calls": 5, "openai_tokens": 50_000, "anthropic_calls": 5, "monthly_cost": 10**9})


def reserve(api: Api, **fields: Any) -> None:
    operation = {**GPT, "estimate": ESTIMATE, **fields}
    assert api.post("reservations/", {"reservation_id": "r1", "operations": [operation]}).status_code == 201


def stored(log: UsageLog) -> tuple[object, ...]:
    return log.usage_state, log.cost_source, log.unpriced_reason, log.cost_total, log.tokens_total


def test_an_aborted_call_without_a_reservation_is_unpriced(bound: Api, account: Account, now: datetime) -> None:
    answer = bound.post("usage/", ABORTED)

    assert (answer.status_code, answer.json()["cost_usd"], answer.json()["priced"]) == (201, None, False)
    assert stored(UsageLog.objects.get()) == ("unknown", "unpriced", "usage_unknown", 0, 0)
    assert (UsageDay.objects.get().unpriced_calls, used_and_reserved(account, now, "openai_calls")) == (1, (1, 0))
    call_command("verify_ledger")


def test_with_a_reservation_it_costs_what_was_reserved(bound: Api, account: Account, now: datetime) -> None:
    reserve(bound)
    answer = bound.post("usage/", {**ABORTED, "reservation_id": "r1"})

    assert (answer.json()["cost_usd"], answer.json()["priced"]) == ("0.0075", True)
    assert stored(UsageLog.objects.get()) == ("unknown", "estimate", None, 7_500_000, 1500)
    meters = [used_and_reserved(account, now, meter) for meter in ("openai_calls", "openai_tokens", "monthly_cost")]
    assert meters == [(1, 0), (1500, 0), (7_500_000, 0)]
    call_command("verify_ledger")


def test_of_several_reserved_calls_it_costs_the_share_of_one(bound: Api) -> None:
    reserve(bound, count=4)
    bound.post("usage/", {**ABORTED, "reservation_id": "r1"})

    assert stored(UsageLog.objects.get()) == ("unknown", "estimate", None, 7_500_000, 1500)


def test_a_reservation_of_another_provider_says_nothing_about_it(bound: Api) -> None:
    reserve(bound, provider="anthropic", model="claude-3-5-sonnet-latest")
    bound.post("usage/", {**ABORTED, "reservation_id": "r1"})

    assert stored(UsageLog.objects.get()) == ("unknown", "unpriced", "usage_unknown", 0, 0)


def test_what_was_read_counts_where_it_is_more_than_the_reservation(bound: Api) -> None:
    reserve(bound, estimate={"input_tokens": 1})
    bound.post("usage/", {**ABORTED, "reservation_id": "r1", "usage": {"input_tokens": 2000}})

    assert stored(UsageLog.objects.get()) == ("unknown", "estimate", None, 5_000_000, 2000)
    call_command("verify_ledger")


def test_aborted_calls_can_be_left_unpriced(bound: Api, settings: Any) -> None:
    settings.ABORTED_CALLS = "unpriced"
    reserve(bound)
    bound.post("usage/", {**ABORTED, "reservation_id": "r1"})

    assert stored(UsageLog.objects.get()) == ("unknown", "unpriced", "usage_unknown", 0, 0)


def test_a_stated_cost_leaves_nothing_unknown(service: Api, account: Account) -> None:
    service.post("usage/", {**ABORTED, "account": "acct_42", "cost_usd": "0.5"})

    assert stored(UsageLog.objects.get()) == ("complete", "caller", None, 500_000_000, 0)


CHAT = {"id": "c1", "object": "chat.completion", "usage": {"prompt_tokens": 1000, "completion_tokens": 0, "stars": 3}}


def test_what_was_read_for_free_leaves_the_rest_unknown(bound: Api) -> None:
    set_price("new-1", input_tokens="0", output_tokens="10")
    aborted = {**ABORTED, "model": "new-1", "usage": {"input_tokens": 1000}}
    half_read = {"provider": "openai", "model": "new-1", "category": "text", "response": CHAT}
    bound.post("usage/", {"events": [aborted, {**half_read, "event_id": "r1"}]})

    assert [stored(log) for log in UsageLog.objects.order_by("id")] == [
        ("unknown", "unpriced", "usage_unknown", 0, 1000),
        ("incomplete", "estimate", None, 0, 1000),
    ]
    call_command("verify_ledger")


def test_a_model_that_is_free_in_every_unit_stays_free(bound: Api) -> None:
    set_price("new-1", input_tokens="0", output_tokens="0")
    aborted = {**ABORTED, "model": "new-1", "usage": {"input_tokens": 1000}}
    half_read = {"provider": "openai", "model": "new-1", "category": "text", "response": CHAT}
    bound.post("usage/", {"events": [aborted, {**half_read, "event_id": "r1"}]})

    assert [stored(log) for log in UsageLog.objects.order_by("id")] == [
        ("unknown", "free", None, 0, 1000),
        ("incomplete", "free", None, 0, 1000),
    ]
    call_command("verify_ledger")


LOCAL: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-oss-120b",
    "category": "text",
    "endpoint": "http://10.0.0.7:8000/v1/chat/completions",
}


def test_an_aborted_call_to_a_model_of_ones_own_is_free(bound: Api, account: Account, now: datetime) -> None:
    answer = bound.post("usage/", {**LOCAL, "event_id": "l1", "status_code": 499})

    assert (answer.json()["actual_provider"], answer.json()["cost_usd"]) == ("local", "0")
    log = UsageLog.objects.get()
    assert (*stored(log), log.is_priced, log.is_billable) == ("unknown", "free", None, 0, 0, True, True)
    assert (UsageDay.objects.get().unpriced_calls, used_and_reserved(account, now, "openai_calls")) == (0, (1, 0))
    call_command("verify_ledger")
    call_command("reprice", model="gpt-oss-120b")
    log.refresh_from_db()
    assert (log.is_priced, log.effective_nano) == (True, 0)


def test_an_aborted_stream_of_a_model_of_ones_own_is_free(account: Account) -> None:
    abandon_stream({**CHUNK, "model": "gpt-oss-120b"}, **LOCAL, estimate=ESTIMATE)

    assert stored(UsageLog.objects.get()) == ("unknown", "free", None, 0, 0)
    call_command("verify_ledger")


def test_a_call_without_usage_to_a_model_that_is_free_in_every_unit_is_free(bound: Api) -> None:
    set_price("new-1", input_tokens="0", output_tokens="0")
    success = {**GPT, "model": "new-1"}
    bound.post("usage/", {"events": [{**success, "event_id": "s1"}, {**ABORTED, "model": "new-1"}]})

    assert [stored(log) for log in UsageLog.objects.order_by("id")] == [("unknown", "free", None, 0, 0)] * 2
    call_command("verify_ledger")


def test_a_call_that_no_vendor_answered_used_nothing(account: Account) -> None:
    with pytest.raises(KeyboardInterrupt), metered_call(account="acct_42", **GPT, reserve=False):
        raise KeyboardInterrupt

    log = UsageLog.objects.get()
    assert (*stored(log), log.is_billable, log.price_id) == ("complete", "free", None, 0, 0, False, None)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_refusal_by_the_vendor_is_free(bound: Api, status: int) -> None:
    bound.post("usage/", {**ABORTED, "status_code": status})

    log = UsageLog.objects.get()
    assert (*stored(log), log.is_billable) == ("complete", "free", None, 0, 0, False)


def test_a_success_without_usage_is_unknown(bound: Api) -> None:
    reserve(bound)
    bound.post("usage/", {**GPT, "event_id": "s1"})
    bound.post("usage/", {**GPT, "event_id": "s2", "reservation_id": "r1"})

    assert [stored(log) for log in UsageLog.objects.order_by("id")] == [
        ("unknown", "unpriced", "usage_unknown", 0, 0),
        ("unknown", "estimate", None, 7_500_000, 1500),
    ]


def abandon_stream(*pieces: object, **fields: Any) -> None:
    def stream() -> Iterator[object]:
        with metered_call(account="acct_42", **{**GPT, **fields}) as call:
            for piece in pieces:
                call.response(piece)
                yield piece

    generator = stream()
    for _ in pieces:
        next(generator)
    generator.close()  # type: ignore[attr-defined]  # Iterator has no close


def test_an_abandoned_stream_is_unpriced_without_a_reserved_amount(account: Account) -> None:
    abandon_stream(CHUNK, CHUNK, CHUNK)

    assert stored(UsageLog.objects.get()) == ("unknown", "unpriced", "usage_unknown", 0, 0)
    assert UsageDay.objects.get().calls == 1


def test_an_abandoned_stream_costs_its_estimate(account: Account) -> None:
    abandon_stream(CHUNK, CHUNK, estimate=ESTIMATE)

    assert stored(UsageLog.objects.get()) == ("unknown", "estimate", None, 7_500_000, 1500)
    call_command("verify_ledger")


def test_a_stream_that_told_its_input_costs_at_least_that(account: Account) -> None:
    abandon_stream(START, provider="anthropic", model="claude-3-5-sonnet-latest", reserve=False)

    assert stored(UsageLog.objects.get()) == ("unknown", "estimate", None, 3_015_000, 1001)
    call_command("verify_ledger")


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_task_is_unknown_after_the_vendor_answered(account: Account) -> None:
    async def cancelled() -> None:
        async with metered_call(account="acct_42", **GPT, reserve=False) as call:
            call.response(CHUNK)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        async_to_sync(cancelled)()
    assert stored(UsageLog.objects.get()) == ("unknown", "unpriced", "usage_unknown", 0, 0)


def test_a_block_left_before_the_vendor_answered_is_free(account: Account) -> None:
    with pytest.raises(KeyboardInterrupt), metered_call(account="acct_42", **GPT, estimate=ESTIMATE):
        raise KeyboardInterrupt

    log = UsageLog.objects.get()
    assert (*stored(log), log.is_billable) == ("complete", "free", None, 0, 0, False)
