"""`POST reservations/` reserves room under the limits; `…/{id}/settle/` and `…/{id}/release/` end a reservation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils import timezone
from msgspec import Meta, Struct
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from billing.accounts import accounts
from billing.api import preflight, schema, schema_limits, usage
from billing.api.api_view import ApiView
from billing.api.parsers import json_body
from billing.errors import Refused
from billing.events import events
from billing.events.events import Event
from billing.limits import operations, reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operations
from billing.limits.reservations import ReservationRequest
from billing.models import Account, UsageReservation
from billing.recording.metering import EventSource
from lib import retry, strict_json, struct_schema

EXAMPLE_EVENT: dict[str, Any] = {
    "event_id": "chat-7",
    "provider": "gemini",
    "model": "gemini-2.5-flash",
    "usage": {"input_tokens": 1180, "output_tokens": 250},
}


class ReservationBody(Struct, forbid_unknown_fields=True):
    reservation_id: Annotated[str, Meta(min_length=1, max_length=256)]
    operations: Operations
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=reservations.MAX_TTL_SECONDS)] = reservations.DEFAULT_TTL_SECONDS


class ReservationsView(ApiView):
    """Reserves calls that are about to run against the limits: all of them or none.

    Repeating the request with the same `reservation_id` returns the first result.
    """

    required_scope = "limits"

    @schema.operation(
        operation_id="reserve",
        summary="Reserve calls",
        request={"application/json": struct_schema.from_struct(ReservationBody)},
        example={"reservation_id": "chat-7", **schema.EXAMPLE_CALLS},
        responses={200: schema_limits.GRANT, 201: schema_limits.GRANT, **schema_limits.RESERVE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        body = operations.convert(json_body(request), ReservationBody)
        events.check_text(body.reservation_id, "reservation_id")
        at = self.at
        account = _get_or_create(preflight.resolve_account(self.caller.account, body.account, at), at)
        try:
            reservation, created = reservations.reserve(
                account, ReservationRequest(body.reservation_id, body.operations, body.ttl_seconds), at
            )
        except Refusal as error:
            return preflight.refusal_response(error, at)
        return Response(
            {**_reservation_as_json(reservation, at), **reservation.grant},
            status=status.HTTP_201_CREATED if created else status.HTTP_200_OK,
        )


class SettleView(ApiView):
    """Records the actual usage and settles the reservation, in one transaction."""

    required_scope = "limits"

    @schema.operation(
        operation_id="settle",
        summary="Record usage and settle the reservation",
        request=schema_limits.EVENT_OR_EVENTS,
        example={"event": EXAMPLE_EVENT},
        responses={200: schema_limits.SETTLED, 201: schema_limits.SETTLED, **schema.USAGE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        if "ingest" not in self.caller.scopes:
            raise exceptions.PermissionDenied("This request also needs the scope 'ingest'.")
        reservation = _get_reservation(self.caller.account, id)
        source = EventSource(account=reservation.account, may_state_cost=self.caller.may_state_cost)
        body = json_body(request)
        return retry.on_deadlock(lambda: _settle(body, reservation, source))


class ReleaseView(ApiView):
    """Releases a reservation. On one that is already released, settled or expired it changes nothing."""

    required_scope = "limits"

    @schema.operation(
        operation_id="release",
        summary="Release a reservation",
        request=None,
        responses={200: schema_limits.RESERVATION, **schema.READ_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        reservation = reservations.release(_get_reservation(self.caller.account, id), self.at)
        return Response(_reservation_as_json(reservation, self.at))


def _get_or_create(account: Account, at: datetime) -> Account:
    """Returns the account, created if a service key names it for the first time."""
    adding = account._state.adding  # noqa: SLF001 - Django has no public name for it
    return accounts.ensure_account(account.external_id, at=at) if adding else account


def _get_reservation(account: Account | None, id: UUID) -> UsageReservation:  # noqa: A002 - the name in the URL
    reservation = reservations.find(id, account)
    if reservation is None:
        raise Http404
    return reservation


def _settle(body: dict[str, Any], reservation: UsageReservation, source: EventSource) -> Response:
    """Records and settles in one transaction, including the final read, so that a failed request can be retried.

    Each attempt reads the clock, and ends in time, as metering's own do.
    """
    at = timezone.now()
    with transaction.atomic():
        response = _record(body, reservation, source, at)
        reservation.refresh_from_db(fields=["state", "over"])
        retry.check_duration(at)
    return Response(
        {**response.data, "reservation": _reservation_as_json(reservation, at)}, status=response.status_code
    )


def _record(body: dict[str, Any], reservation: UsageReservation, source: EventSource, at: datetime) -> Response:
    """Records the events of the body. Returns the response of `POST usage/`."""
    if set(body) == {"event"}:
        event = _for_reservation(usage.parse_event(body["event"], depth=1), reservation)
        return usage.record_single(event, source, at, "event")
    if "events" not in body:
        strict_json.check_limits(body)
        raise Refused("required", "Send `event`, or a list of `events`.", "event")
    raw = usage.batch_events(body)
    parsed = [_for_reservation(usage.parse_event(item, depth=usage.BATCH_NESTING), reservation) for item in raw]
    return usage.record_batch(raw, parsed, source, at)


def _for_reservation(event: Event | Refused, reservation: UsageReservation) -> Event | Refused:
    """Sets the event's reservation. Returns Refused if the event names another one."""
    if isinstance(event, Refused):
        return event
    if event.reservation_id not in (None, reservation.reservation_id):
        return Refused("invalid", "The event names a different reservation than the URL.", "reservation_id")
    event.reservation_id = reservation.reservation_id
    return event


def _reservation_as_json(reservation: UsageReservation, at: datetime) -> dict[str, Any]:
    return {
        "id": reservation.pk,
        "reservation_id": reservation.reservation_id,
        "state": reservations.state_at(reservation, at),
        "over": reservation.over,
        "expires_at": reservation.expires_at,
    }
