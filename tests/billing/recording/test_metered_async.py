"""`async with metered_call(...)` and decorated coroutines: the database is asked in its thread, and work is ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection

from billing.models import Account, UsageLog, UsageReservation
from billing.recording.metered_call import CallRefused, metered_call
from tests.billing.caps import cap, standing

pytestmark = pytest.mark.django_db

TEXT: dict[str, Any] = {"account": "acct_42", "provider": "openai", "model": "gpt-4o-mini", "category": "text"}
ANSWER = {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}
CAP, ATTEMPTS = 7, 30


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    cap({})


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """In an event loop of its own, whose database work is done by the test's own thread and connection."""
    return async_to_sync(work)()


def told() -> list[tuple[int, int]]:
    return list(UsageLog.objects.order_by("id").values_list("status_code", "cost_total"))


def states() -> list[str]:
    return list(UsageReservation.objects.order_by("id").values_list("state", flat=True))


def test_a_block_is_recorded_and_settled() -> None:
    async def work() -> None:
        async with metered_call(**TEXT) as call:
            call.response(ANSWER)
        assert call.result is not None
        assert call.result.cost_nano == 21_000

    run(work)
    assert (told(), states()) == ([(200, 21_000)], ["settled"])


def test_a_coroutine_is_metered_and_its_answer_read() -> None:
    @metered_call(**TEXT)
    async def answer(prompt: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return ANSWER

    async def work() -> list[dict[str, Any]]:
        return list(await asyncio.gather(answer("a"), answer("b")))

    assert run(work) == [ANSWER, ANSWER]
    assert (told(), states()) == ([(200, 21_000)] * 2, ["settled"] * 2)


def test_a_failure_is_recorded_and_goes_on_unchanged() -> None:
    failure = ConnectionError("gone")

    async def work() -> None:
        async with metered_call(**TEXT):
            raise failure

    with pytest.raises(ConnectionError) as raised:
        run(work)
    assert raised.value is failure
    assert (told(), states()) == ([(599, 0)], ["settled"])


def test_concurrent_calls_never_pass_the_cap(account: Account, now: datetime) -> None:
    cap({"openai_calls": CAP})

    async def attempt(decided: asyncio.Barrier) -> bool:
        try:
            async with metered_call(**TEXT):
                await decided.wait()  # every room is held until all have asked
                return True
        except CallRefused:
            await decided.wait()
            return False

    async def work() -> list[bool]:
        decided = asyncio.Barrier(ATTEMPTS)
        return list(await asyncio.gather(*[attempt(decided) for _ in range(ATTEMPTS)]))

    assert sum(run(work)) == CAP
    assert (len(told()), standing(account, now, "openai_calls")) == (CAP, (CAP, 0))


def test_the_event_loop_never_waits_for_the_database() -> None:
    asked_in: set[int] = set()

    def note(execute: Any, *query: Any) -> Any:
        asked_in.add(threading.get_ident())
        return execute(*query)

    async def work() -> int:
        async with metered_call(**TEXT):
            return threading.get_ident()

    with connection.execute_wrapper(note):
        loop_in = run(work)
    assert asked_in == {threading.get_ident()}
    assert loop_in not in asked_in


def test_a_plain_block_in_async_code_is_refused_before_it_runs() -> None:
    ran = []

    async def work() -> None:
        with metered_call(**TEXT):
            ran.append(True)

    with pytest.raises(SynchronousOnlyOperation):
        run(work)
    assert (ran, told(), states()) == ([], [], [])


def test_a_cancelled_call_is_recorded_with_the_usage_so_far() -> None:
    async def call_that_hangs(running: asyncio.Event) -> None:
        async with metered_call(**TEXT) as call:
            call.response(ANSWER)
            running.set()
            await asyncio.sleep(3600)

    async def work() -> None:
        running = asyncio.Event()
        task = asyncio.create_task(call_that_hangs(running))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (told(), states()) == ([(499, 21_000)], ["settled"])


def test_a_call_that_is_cancelled_while_it_is_recorded_is_recorded_all_the_same() -> None:
    async def call_that_ends(ending: asyncio.Event) -> None:
        async with metered_call(**TEXT) as call:
            call.response(ANSWER)
            ending.set()

    async def work() -> None:
        ending = asyncio.Event()
        task = asyncio.create_task(call_that_ends(ending))
        await ending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (told(), states()) == ([(200, 21_000)], ["settled"])


def test_a_call_that_is_cancelled_while_it_asks_does_not_run() -> None:
    ran = []

    async def call_that_asks() -> None:
        async with metered_call(**TEXT):
            ran.append(True)

    async def work() -> None:
        task = asyncio.create_task(call_that_asks())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (ran, told(), states()) == ([], [], ["released"])
