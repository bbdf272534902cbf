"""`async with metered_call(...)` and decorated coroutines: database access off the event loop, and cancellation."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError, connection

from billing.limits import reservations
from billing.models import Account, UsageLog, UsageReservation
from billing.recording import metering
from billing.recording.metered_call import CallRefused, metered_call
from tests.billing.plan_limits import set_limits, used_and_reserved

pytestmark = pytest.mark.django_db

TEXT_CALL: dict[str, Any] = {"account": "acct_42", "provider": "openai", "model": "gpt-4o-mini", "category": "text"}
RESPONSE = {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}
MAX_CALLS, ATTEMPTS = 7, 30


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    set_limits({})


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Runs `work` in a new event loop; database queries run in the thread and connection of the test."""
    return async_to_sync(work)()


def recorded_calls() -> list[tuple[int, int]]:
    """Status and cost in nano-USD."""
    return list(UsageLog.objects.order_by("id").values_list("status_code", "cost_total"))


def reservation_states() -> list[str]:
    return list(UsageReservation.objects.order_by("id").values_list("state", flat=True))


def test_a_block_is_recorded_and_settled() -> None:
    async def work() -> None:
        async with metered_call(**TEXT_CALL) as call:
            call.response(RESPONSE)
        assert call.result is not None
        assert call.result.cost_nano == 21_000

    run(work)
    assert (recorded_calls(), reservation_states()) == ([(200, 21_000)], ["settled"])


def test_a_coroutine_is_metered_and_its_response_read() -> None:
    @metered_call(**TEXT_CALL)
    async def answer(prompt: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return RESPONSE

    async def work() -> list[dict[str, Any]]:
        return list(await asyncio.gather(answer("a"), answer("b")))

    assert run(work) == [RESPONSE, RESPONSE]
    assert (recorded_calls(), reservation_states()) == ([(200, 21_000)] * 2, ["settled"] * 2)


def test_an_exception_is_recorded_and_raised_unchanged() -> None:
    failure = ConnectionError("gone")

    async def work() -> None:
        async with metered_call(**TEXT_CALL):
            raise failure

    with pytest.raises(ConnectionError) as raised:
        run(work)
    assert raised.value is failure
    assert (recorded_calls(), reservation_states()) == ([(599, 0)], ["settled"])


def test_concurrent_calls_never_exceed_the_limit(account: Account, now: datetime) -> None:
    set_limits({"openai_calls": MAX_CALLS})

    async def attempt(all_decided: asyncio.Barrier) -> bool:
        try:
            async with metered_call(**TEXT_CALL):
                await all_decided.wait()  # every reservation is held until all attempts are decided
                return True
        except CallRefused:
            await all_decided.wait()
            return False

    async def work() -> list[bool]:
        all_decided = asyncio.Barrier(ATTEMPTS)
        return list(await asyncio.gather(*[attempt(all_decided) for _ in range(ATTEMPTS)]))

    assert sum(run(work)) == MAX_CALLS
    assert (len(recorded_calls()), used_and_reserved(account, now, "openai_calls")) == (MAX_CALLS, (MAX_CALLS, 0))


def test_no_query_runs_in_the_event_loop() -> None:
    query_threads: set[int] = set()

    def note_thread(execute: Any, *query: Any) -> Any:
        query_threads.add(threading.get_ident())
        return execute(*query)

    async def work() -> int:
        async with metered_call(**TEXT_CALL):
            return threading.get_ident()

    with connection.execute_wrapper(note_thread):
        loop_thread = run(work)
    assert query_threads == {threading.get_ident()}
    assert loop_thread not in query_threads


def test_a_synchronous_block_in_async_code_is_refused_before_it_runs() -> None:
    ran = []

    async def work() -> None:
        with metered_call(**TEXT_CALL):
            ran.append(True)

    with pytest.raises(SynchronousOnlyOperation):
        run(work)
    assert (ran, recorded_calls(), reservation_states()) == ([], [], [])


def test_a_cancelled_call_is_recorded_with_the_usage_so_far() -> None:
    async def hanging_call(running: asyncio.Event) -> None:
        async with metered_call(**TEXT_CALL) as call:
            call.response(RESPONSE)
            running.set()
            await asyncio.sleep(3600)

    async def work() -> None:
        running = asyncio.Event()
        task = asyncio.create_task(hanging_call(running))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (recorded_calls(), reservation_states()) == ([(499, 21_000)], ["settled"])


def test_a_call_cancelled_while_it_is_recorded_is_still_recorded() -> None:
    async def ending_call(ending: asyncio.Event) -> None:
        async with metered_call(**TEXT_CALL) as call:
            call.response(RESPONSE)
            ending.set()

    async def work() -> None:
        ending = asyncio.Event()
        task = asyncio.create_task(ending_call(ending))
        await ending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (recorded_calls(), reservation_states()) == ([(200, 21_000)], ["settled"])


def test_a_call_cancelled_while_it_reserves_does_not_run() -> None:
    ran = []

    async def starting_call() -> None:
        async with metered_call(**TEXT_CALL):
            ran.append(True)

    async def work() -> None:
        task = asyncio.create_task(starting_call())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
    assert (ran, recorded_calls(), reservation_states()) == ([], [], ["released"])


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Garbage collections look only at what a test creates: the objects of the whole process take half a second."""
    gc.freeze()
    yield
    gc.unfreeze()


async def cancel_after(steps: int, cancellations: int, **fields: Any) -> BaseException | None:
    """Runs one call in a task and cancels it after some turns of the event loop. Returns how the task ended."""

    async def call() -> None:
        async with metered_call(**{**TEXT_CALL, **fields}) as running:
            await asyncio.sleep(0)
            running.response(RESPONSE)
            await asyncio.sleep(0)

    task = asyncio.create_task(call())
    for _ in range(steps):
        await asyncio.sleep(0.001)
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("cancellations", [1, 2, 5])
@pytest.mark.parametrize("refused", [False, True], ids=["granted", "refused"])
def test_a_task_cancelled_at_any_moment_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture, refused: bool, cancellations: int
) -> None:
    if refused:
        set_limits({"openai_calls": 0})
    for steps in range(15):
        ended = run(functools.partial(cancel_after, steps, cancellations))
        gc.collect()
        assert ended is None or isinstance(ended, asyncio.CancelledError | CallRefused)
        assert [record.getMessage() for record in caplog.records] == []
        assert set(reservation_states()) <= {"settled", "released"}


@pytest.mark.usefixtures("quick_collections")
def test_a_call_whose_recording_fails_while_it_is_cancelled_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(metering, "record", fail)
    messages = []
    for steps in range(15):
        run(functools.partial(cancel_after, steps, 2))
        gc.collect()
        messages += [record.getMessage().partition(" Import")[0] for record in caplog.records]
        assert {record.name for record in caplog.records} <= {"billing.recording.metered_call"}
        caplog.clear()
    assert set(messages) == {"The usage of a call that ran was not recorded."}


def test_a_reservation_that_cannot_be_released_expires(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(reservations, "release", fail)
    ended = run(functools.partial(cancel_after, 0, 1))
    gc.collect()

    assert isinstance(ended, asyncio.CancelledError)
    assert [(record.levelname, record.exc_info) for record in caplog.records] in ([], [("WARNING", None)])
