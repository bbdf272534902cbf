"""`with metered_call(...)`: reserve room, run, record. For code of the product that runs in the same process as Tollgate.

A call that may not run is refused before it runs. One that ran is recorded, whether it came back or raised, and settles
what was held for it. Leaving the block without an exception means that the usage is committed.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from billing.accounts import accounts
from billing.errors import Refused
from billing.events import call_failures, events, responses
from billing.events.events import Event
from billing.ledger import ledger
from billing.limits import decisions, operations, reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operation
from billing.limits.reservations import Wanted
from billing.models import Account, UsageReservation
from billing.recording import metering
from billing.recording.metering import Result
from lib import ids

P = ParamSpec("P")
R = TypeVar("R")

OF_OPERATION = ("provider", "category", "model", "endpoint", "served_by", "variant", "estimate")
log = logging.getLogger(__name__)


class CallRefused(Exception):
    """The call may not run, and did not. Names the limit that stands in the way; all None where it is not a limit."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.code, self.detail = refusal.code, refusal.detail
        told = decisions.told_limit(refusal.standing) if refusal.standing else {}
        self.meter: str | None = told.get("meter")
        self.limit: int | str | None = told.get("limit")
        self.used: int | str | None = told.get("used")
        self.reserved: int | str | None = told.get("reserved")
        self.requested: int | str | None = told.get("requested")
        self.resets_at: datetime | None = told.get("resets_at")


class NotRecorded(Exception):
    """The call ran, and its usage could not be stored. `event` is what to store, `response` what the call was given."""

    def __init__(self, event: dict[str, Any], response: object) -> None:
        super().__init__(
            f"The usage of call {event['event_id']} is not recorded; it stands in the log as one line of JSON."
        )
        self.event, self.response = event, response


def metered_call(
    *,
    account: str | Callable[..., str],
    provider: str,
    model: str | Callable[..., str] = "",
    category: str | None = None,
    endpoint: str = "",
    served_by: str | None = None,
    variant: Mapping[str, str] | Callable[..., Mapping[str, str]] | None = None,
    estimate: Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None = None,
    event_id: str | Callable[..., str] | None = None,
    metadata: Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None = None,
    reserve: bool = True,
    ttl_seconds: int = reservations.USUAL,
) -> MeteredCall:
    """One AI call, for `with`, `async with`, or as a decorator; the fields are those of an event and of an operation.

    `estimate` is what the call is expected to use, with `cost_usd` where the caller knows it; `ttl_seconds` how long the
    room is held, should the process die. `reserve=False` only records. `event_id` names one run, and is made where it is
    left out. As a decorator, an argument that is a function is asked with the arguments of each call.

    Raises CallRefused, events.Refused where an argument can't be taken, and RuntimeError inside a transaction: nothing
    has run then. NotRecorded where the call ran and its usage could not be stored.
    """
    told = {
        "account": account,
        "provider": provider,
        "model": model,
        "category": category,
        "endpoint": endpoint,
        "served_by": served_by,
        "variant": variant or {},
        "estimate": estimate or {},
        "event_id": event_id,
        "metadata": metadata or {},
    }
    return MeteredCall(told, ttl_seconds if reserve else None)


class Call:
    """A call that runs: its body says what was used. What is said later replaces what was said before."""

    def __init__(self, event: dict[str, Any], room: UsageReservation | None) -> None:
        self.event_id: str = event["event_id"]
        self.result: Result | None = None  # what was recorded, once the block is left
        self.event, self.room = event, room
        self.given: object = None
        self.started = time.perf_counter_ns()

    def response(self, response: object) -> None:
        """Read the usage of a vendor's response, or of each piece of a stream. Without usage in it, nothing changes."""
        self.given = response
        found = responses.read(response)
        self.used(**found.usage)
        if found.model and not self.event.get("model"):
            self.model(found.model)
        if found.service_tier:
            self.event.setdefault("variant", {}).setdefault("service_tier", found.service_tier)
        if found.cached_apart:
            self.event["cached_tokens_included"] = False

    def used(self, **quantities: int | str | Decimal) -> None:
        """Quantities by the names of an event's `usage`: `images=1`, `seconds="5.2"`."""
        told = {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in quantities.items()}
        self.event.setdefault("usage", {}).update(told)

    def cost_usd(self, amount: str | Decimal) -> None:
        """The cost as the caller knows it; it wins over the price book."""
        self.event["cost_usd"] = f"{Decimal(amount):f}"

    def served_by(self, provider: str) -> None:
        self.event["served_by"] = provider

    def model(self, model: str) -> None:
        self.event["model"] = model


class MeteredCall:
    """What `metered_call` returns: a block's entry and exit, and the decorator."""

    def __init__(self, told: dict[str, Any], hold_seconds: int | None) -> None:
        self._told, self._hold_seconds = told, hold_seconds
        self._call: Call | None = None

    def __enter__(self) -> Call:
        if self._call is not None:
            raise RuntimeError("One metered_call is one call: make another one.")
        self._call = _begin(self._told, self._hold_seconds)
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call is not None:
            _end(self._call, error)

    async def __aenter__(self) -> Call:
        try:
            return await _to_the_end(self.__enter__)
        except asyncio.CancelledError:
            await _to_the_end(self._give_up)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_the_end(functools.partial(self.__exit__, kind, error, trace))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Meter each call of the function, and read what it returns."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("A generator runs after it has returned: use a `with` block inside it.")

        @functools.wraps(function)
        async def metered_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - what is awaited
            async with self._for(args, kwargs) as call:
                answer = await cast("Any", function(*args, **kwargs))
                call.response(answer)
            return answer

        @functools.wraps(function)
        def metered(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._for(args, kwargs) as call:
                answer = function(*args, **kwargs)
                call.response(answer)
            return answer

        return cast("Callable[P, R]", metered_async) if inspect.iscoroutinefunction(function) else metered

    def _give_up(self) -> None:
        """The call will not run, although it was granted: its room is free at once."""
        if self._call and self._call.room:
            reservations.release(self._call.room, timezone.now())

    def _for(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> MeteredCall:
        told = {name: value(*args, **kwargs) if callable(value) else value for name, value in self._told.items()}
        return MeteredCall(told, self._hold_seconds)


async def _to_the_end(work: Callable[[], R]) -> R:
    """In the thread of the database, and to its end: a task that is cancelled meanwhile waits for it."""
    task = asyncio.ensure_future(sync_to_async(work)())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _begin(told: dict[str, Any], hold_seconds: int | None) -> Call:
    """Everything that can refuse the call, before it runs."""
    _refuse_transaction()
    at = timezone.now()
    raw = {name: value for name, value in told.items() if name != "estimate"}
    raw |= {"event_id": told["event_id"] or str(ids.new_id()), "occurred_at": at.isoformat()}
    event = msgspec.to_builtins(events.parse(raw))
    account = _account(event)
    if account and told["event_id"] is not None:
        _refuse_repeat(account, event)
    if hold_seconds is None:
        return Call(event, None)
    if not 1 <= hold_seconds <= reservations.LONGEST:
        raise Refused("out_of_range", f"From 1 to {reservations.LONGEST} seconds.", "ttl_seconds")
    room = _reserve(account or accounts.made(event["account"], at=at), told, hold_seconds, at)
    return Call({**event, "reservation_id": room.reservation_id}, room)


def _account(event: Mapping[str, Any]) -> Account | None:
    """The stored account; None for one that this call makes."""
    if "account" not in event:
        raise Refused("required", "A call says whose it is.", "account")
    account = accounts.get(event["account"])
    if account is None and not settings.CREATE_ACCOUNTS:
        raise Refused("unknown_account", "There is no such account.", "account")
    return account


def _refuse_transaction() -> None:
    """Usage that is recorded inside somebody's transaction is lost when that is rolled back. A test case's own is none."""
    blocks = connection.atomic_blocks
    of_test_case = bool(blocks) and getattr(blocks[-1], "_from_testcase", False)  # as Django's check of `durable` looks
    if not of_test_case and (blocks or not connection.get_autocommit()):
        raise RuntimeError("A metered call can't run inside a transaction: its usage would be lost with a rollback.")


def _refuse_repeat(account: Account, event: Mapping[str, Any]) -> None:
    """An id that is stored already stands for another run: this one could not be recorded under it."""
    archives = [account.pk] if account.has_archive else []
    if ledger.stored([(account.pk, ids.bytes_of(event["event_id"]))], archives):
        raise Refused("event_conflict", "This id is stored already; every run of a call has its own.", "event_id")


def _reserve(account: Account, told: Mapping[str, Any], hold_seconds: int, at: datetime) -> UsageReservation:
    """Hold room for the call."""
    operation = operations.converted({name: told[name] for name in OF_OPERATION}, Operation)
    wanted = Wanted(str(ids.new_id()), [operation], hold_seconds)
    try:
        return reservations.reserve(account, wanted, at)[0]
    except Refusal as refusal:
        raise CallRefused(refusal) from refusal


def _end(call: Call, error: BaseException | None) -> None:
    """Record what happened. What the body raised goes on its way unchanged, whatever becomes of the record."""
    event = {**call.event, "response_time_ms": (time.perf_counter_ns() - call.started) // 1_000_000}
    if error is not None:
        event |= {"status_code": call_failures.status(error), "error_message": call_failures.message(error)}
    try:
        call.result = _record(event)
    except BaseException as fault:
        log.exception(
            "The usage of a call that ran is not recorded. Import this line: %s", json.dumps(event, default=str)
        )
        if not isinstance(fault, Exception):
            raise
        if error is None:
            raise NotRecorded(event, call.given) from fault


def _record(event: dict[str, Any]) -> Result:
    parsed = events.parse(event)
    try:
        return _store(parsed)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()  # it may have gone away while the call ran; stored twice, the event counts once
        return _store(parsed)


def _store(event: Event) -> Result:
    source = metering.Source(may_state_cost=True, may_create_accounts=settings.CREATE_ACCOUNTS)
    result = metering.record([event], source=source, at=timezone.now())[0]
    if result.refused:
        raise result.refused
    return result
