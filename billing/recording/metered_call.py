"""`with metered_call(...)`: reserve, run and record one AI call in the same process as Tollgate.

A call over a limit is refused before it runs. A call that ran is recorded, also where it raised, and settles its reservation.
When the block ends without an exception, the usage is committed.
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
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from billing.accounts import accounts
from billing.errors import Refused
from billing.events import call_failures, event_responses, events
from billing.events.events import Event
from billing.events.vendor_responses.reading import Reader, Reading
from billing.ledger import ledger
from billing.limits import decisions, operations, reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operation
from billing.limits.reservations import ReservationRequest
from billing.models import Account, UsageReservation
from billing.recording import metering
from billing.recording.metering import Result
from lib import ids

P = ParamSpec("P")
R = TypeVar("R")

OPERATION_FIELDS = ("provider", "category", "model", "endpoint", "served_by", "variant", "estimate")
logger = logging.getLogger(__name__)


class CallRefused(Exception):
    """The call was refused and did not run. The limit's attributes are None where no limit is the reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.code, self.detail = refusal.code, refusal.detail
        limit = decisions.limit_as_json(refusal.limit_status) if refusal.limit_status else {}
        self.meter: str | None = limit.get("meter")
        self.limit: int | str | None = limit.get("limit")
        self.used: int | str | None = limit.get("used")
        self.reserved: int | str | None = limit.get("reserved")
        self.requested: int | str | None = limit.get("requested")
        self.resets_at: datetime | None = limit.get("resets_at")


class NotRecorded(Exception):
    """The call ran, but its usage could not be stored. `event` is the event to store, `response` the vendor's response."""

    def __init__(self, event: dict[str, Any], response: object) -> None:
        super().__init__(
            f"The usage of call {event['event_id']} was not recorded. The server log has it as one line of JSON to import."
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
    ttl_seconds: int = reservations.DEFAULT_TTL_SECONDS,
) -> MeteredCall:
    """Meter one AI call, with `with`, `async with` or as a decorator. The fields are those of an event and an operation.

    `estimate` is the expected usage, with `cost_usd` if known; `ttl_seconds` is how long the reservation is held if the
    process dies. `reserve=False` only records. `event_id` identifies one run; the default is a new id. Under a decorator,
    an argument that is a function is called with the arguments of each call.

    Before the call runs, raises CallRefused, errors.Refused for an invalid argument, and RuntimeError inside a transaction.
    Raises NotRecorded where the call ran and its usage could not be stored.
    """
    fields = {
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
    return MeteredCall(fields, ttl_seconds if reserve else None)


class Call:
    """A running call. The `with` block reports its usage here; later values replace earlier ones."""

    def __init__(self, event: dict[str, Any], reservation: UsageReservation | None) -> None:
        self.event_id: str = event["event_id"]
        self.result: Result | None = None  # set when the block ends
        self.event, self.reservation = event, reservation
        self.last_response: object = None
        self.reader = Reader()
        self.started_ns = time.perf_counter_ns()

    def response(self, response: object) -> None:
        """Read a vendor's response, or one piece of a stream. Responses with different ids add up."""
        self.last_response = response
        self.reader.add(response)

    def used(self, **quantities: int | str | Decimal) -> None:
        """Set quantities by their names in an event's `usage`: `images=1`, `seconds="5.2"`."""
        usage = {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in quantities.items()}
        self.event.setdefault("usage", {}).update(usage)

    def cost_usd(self, amount: str | Decimal) -> None:
        """Set the cost; it takes precedence over the price book."""
        self.event["cost_usd"] = f"{Decimal(amount):f}"

    def served_by(self, provider: str) -> None:
        self.event["served_by"] = provider

    def model(self, model: str) -> None:
        self.event["model"] = model


class MeteredCall:
    """Context manager and decorator returned by `metered_call`."""

    def __init__(self, fields: dict[str, Any], ttl_seconds: int | None) -> None:
        self._fields, self._ttl_seconds = fields, ttl_seconds
        self._call: Call | None = None

    def __enter__(self) -> Call:
        if self._call is not None:
            raise RuntimeError("A metered_call can be used for one call only. Create another one.")
        self._call = _begin(self._fields, self._ttl_seconds)
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call is not None:
            _end(self._call, error)

    async def __aenter__(self) -> Call:
        try:
            return await _run_to_completion(self.__enter__)
        except asyncio.CancelledError:
            await _run_to_completion(self._release)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _run_to_completion(functools.partial(self.__exit__, kind, error, trace))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Meter each call of the function; its return value is taken as the vendor's response."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                "A generator function can't be decorated: it runs after it returns. Use a `with` block inside it."
            )

        @functools.wraps(function)
        async def metered_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - what is awaited
            async with self._for_arguments(args, kwargs) as call:
                response = await cast("Any", function(*args, **kwargs))
                call.response(response)
            return response

        @functools.wraps(function)
        def metered(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._for_arguments(args, kwargs) as call:
                response = function(*args, **kwargs)
                call.response(response)
            return response

        return cast("Callable[P, R]", metered_async) if inspect.iscoroutinefunction(function) else metered

    def _release(self) -> None:
        """Release the reservation of a call that was granted but will not run."""
        if self._call and self._call.reservation:
            try:
                reservations.release(self._call.reservation, timezone.now())
            except DatabaseError as error:
                logger.warning("A reservation of a cancelled call was not released and will expire: %s", error)

    def _for_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> MeteredCall:
        fields = {name: value(*args, **kwargs) if callable(value) else value for name, value in self._fields.items()}
        return MeteredCall(fields, self._ttl_seconds)


async def _run_to_completion(work: Callable[[], R]) -> R:
    """Run `work` in the database thread. If the task is cancelled meanwhile, wait for the work to finish, then raise."""
    task, cancelled = asyncio.ensure_future(sync_to_async(work)()), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # possibly more than once
            cancelled = error
    if cancelled:
        if not task.cancelled():
            task.exception()  # asyncio logs a traceback for an exception that nobody takes
        raise cancelled
    return task.result()


def _begin(fields: dict[str, Any], ttl_seconds: int | None) -> Call:
    """Validate and reserve, before the call runs."""
    _refuse_inside_transaction()
    at = timezone.now()
    raw = {name: value for name, value in fields.items() if name != "estimate"}
    raw |= {"event_id": fields["event_id"] or str(ids.new_id()), "occurred_at": at.isoformat()}
    event = msgspec.to_builtins(events.parse(raw))
    account = _account(event)
    if account and fields["event_id"] is not None:
        _refuse_stored_event_id(account, event)
    if ttl_seconds is None:
        return Call(event, None)
    if not 1 <= ttl_seconds <= reservations.MAX_TTL_SECONDS:
        raise Refused(
            "out_of_range", f"The value must be from 1 to {reservations.MAX_TTL_SECONDS} seconds.", "ttl_seconds"
        )
    reservation = _reserve(account or accounts.ensure_account(event["account"], at=at), fields, ttl_seconds, at)
    return Call({**event, "reservation_id": reservation.reservation_id}, reservation)


def _account(event: Mapping[str, Any]) -> Account | None:
    """The stored account; None where this call creates it."""
    if "account" not in event:
        raise Refused("required", "Name the account that this call is for.", "account")
    account = accounts.get(event["account"])
    if account is None and not settings.CREATE_ACCOUNTS:
        raise Refused("unknown_account", "There is no such account.", "account")
    return account


def _refuse_inside_transaction() -> None:
    """An outer transaction that is rolled back would lose the usage. The transaction of a Django test case is allowed."""
    blocks = connection.atomic_blocks
    in_test_case = bool(blocks) and getattr(blocks[-1], "_from_testcase", False)  # as in Django's check of `durable`
    if not in_test_case and (blocks or not connection.get_autocommit()):
        raise RuntimeError("A metered call can't run inside a transaction: a rollback would lose its usage.")


def _refuse_stored_event_id(account: Account, event: Mapping[str, Any]) -> None:
    """Refuse an event_id that is stored already: this run could not be recorded under it."""
    archives = [account.pk] if account.has_archive else []
    if ledger.find_stored([(account.pk, ids.lookup_key_bytes(event["event_id"]))], archives):
        raise Refused(
            "event_conflict", "This event_id is stored already. Use a new id for each run of a call.", "event_id"
        )


def _reserve(account: Account, fields: Mapping[str, Any], ttl_seconds: int, at: datetime) -> UsageReservation:
    operation = operations.convert({name: fields[name] for name in OPERATION_FIELDS}, Operation)
    request = ReservationRequest(str(ids.new_id()), [operation], ttl_seconds)
    try:
        return reservations.reserve(account, request, at)[0]
    except Refusal as refusal:
        raise CallRefused(refusal) from refusal


def _end(call: Call, error: BaseException | None) -> None:
    """Record the call. An exception of the block is never replaced by a failure to record."""
    event = {**call.event, "response_time_ms": (time.perf_counter_ns() - call.started_ns) // 1_000_000}
    if error is not None:
        event |= {"status_code": call_failures.status(error), "error_message": call_failures.message(error)}
    reading = call.reader.reading() if call.last_response is not None else None
    try:
        call.result = _record(event, reading, answered=bool(reading or event.get("usage")))
    except BaseException as failure:
        event = _with_usage(event, reading) if reading else event
        logger.exception(
            "The usage of a call that ran was not recorded. Import this line: %s", json.dumps(event, default=str)
        )
        if not isinstance(failure, Exception):
            raise
        if error is None:
            raise NotRecorded(event, call.last_response) from failure


def _with_usage(event: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """The event with what was read of the response as if the caller had stated it, so that it can be imported."""
    read = {
        "usage": {**reading.usage, **event.get("usage", {})},
        "variant": {**event.get("variant", {}), **reading.variant},
    }
    excludes = {"cached_tokens_included": False} if reading.excludes_cached else {}
    return {
        **event,
        **{name: value for name, value in read.items() if value},
        **excludes,
        "model": event.get("model") or reading.model,
    }


def _record(event: dict[str, Any], reading: Reading | None, *, answered: bool) -> Result:
    parsed = events.parse(event)
    if reading:
        event_responses.attach(parsed, reading)
    try:
        return _store(parsed, answered=answered)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()  # the connection may have been lost while the call ran; an event sent twice counts once
        return _store(parsed, answered=answered)


def _store(event: Event, *, answered: bool) -> Result:
    source = metering.EventSource(
        may_state_cost=True, may_create_accounts=settings.CREATE_ACCOUNTS, vendor_answered=answered
    )
    result = metering.record([event], source=source, at=timezone.now())[0]
    if result.refused:
        raise result.refused
    return result
