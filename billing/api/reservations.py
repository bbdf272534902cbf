"""`POST reservations/` holds room under the limits; `…/{id}/settle/` and `…/{id}/release/` free it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from msgspec import Meta, Struct
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.accounts import accounts
from billing.api import account_scope, preflight, schema, schema_limits, usage
from billing.api.parsers import body_of
from billing.errors import Refused
from billing.events import events
from billing.events.events import Event
from billing.limits import operations, reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operations
from billing.limits.reservations import Wanted
from billing.models import Account, UsageReservation
from billing.recording.metering import Source
from lib import retry, strict_json


class ReservationBody(Struct, forbid_unknown_fields=True):
    reservation_id: Annotated[str, Meta(min_length=1, max_length=256)]
    operations: Operations
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=reservations.LONGEST)] = reservations.USUAL


class ReservationsView(APIView):
    """Holds room for calls that are about to run: all of them, or none. The same request again gets the first grant."""

    required_scope = "limits"

    @extend_schema(
        operation_id="reserve",
        summary="Hold room for calls",
        request={"application/json": schema.of(ReservationBody)},
        responses={200: schema_limits.GRANT, 201: schema_limits.GRANT, **schema_limits.REFUSALS},
    )
    def post(self, request: Request) -> Response:
        body = operations.converted(body_of(request), ReservationBody)
        events.check_text(body.reservation_id, "reservation_id")
        at = timezone.now()
        account = _stored(preflight.account_of(request, body.account, at), at)
        try:
            made, new = reservations.reserve(
                account, Wanted(body.reservation_id, body.operations, body.ttl_seconds), at
            )
        except Refusal as error:
            return preflight.refusal(error, at)
        return Response(
            {**_told(made, at), **made.grant}, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK
        )


class SettleView(APIView):
    """Records the usage as it really was and frees what was held for it, in one transaction."""

    required_scope = "limits"

    @extend_schema(
        operation_id="settle",
        summary="Record the usage, free the room",
        request=schema_limits.EVENT_OR_EVENTS,
        responses={200: schema_limits.SETTLED, 201: schema_limits.SETTLED, **schema.ERRORS_OF_USAGE},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the contract's name
        caller = account_scope.caller_of(request)
        if "ingest" not in caller.scopes:
            raise exceptions.PermissionDenied("This needs the scope 'ingest' as well.")
        reservation, at = _reservation_of(request, id), timezone.now()
        source = Source(account=reservation.account, may_state_cost=caller.may_state_cost)
        body = body_of(request)
        return retry.on_deadlock(lambda: _settled(body, reservation, source, at))


class ReleaseView(APIView):
    """Frees what is held, once; again, or after the end, it changes nothing."""

    required_scope = "limits"

    @extend_schema(
        operation_id="release",
        summary="Free the room",
        request=None,
        responses={200: schema_limits.RESERVATION, **schema.ERRORS_OF_READING},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        at = timezone.now()
        return Response(_told(reservations.release(_reservation_of(request, id), at), at))


def _stored(account: Account, at: datetime) -> Account:
    """The account, made where a service key first names it."""
    adding = account._state.adding  # noqa: SLF001 - Django's own word for it
    return accounts.made(account.external_id, at=at) if adding else account


def _reservation_of(request: Request, reservation: UUID) -> UsageReservation:
    found = reservations.find(reservation, account_scope.caller_of(request).account)
    if found is None:
        raise Http404
    return found


def _settled(body: dict[str, Any], reservation: UsageReservation, source: Source, at: datetime) -> Response:
    """One transaction, its last look included: whoever is told that it failed may send the same again."""
    with transaction.atomic():
        answer = _recorded(body, reservation, source, at)
        reservation.refresh_from_db(fields=["state", "over"])
    return Response({**answer.data, "reservation": _told(reservation, at)}, status=answer.status_code)


def _recorded(body: dict[str, Any], reservation: UsageReservation, source: Source, at: datetime) -> Response:
    """As `POST usage/` answers."""
    if set(body) == {"event"}:
        return usage.single(_naming(usage.parse(body["event"], above=1), reservation), source, at, "event")
    if "events" not in body:
        strict_json.audit(body)
        raise Refused("required", "Expected `event`, or a list of `events`.", "event")
    raw = usage.events_of(body)
    parsed = [_naming(usage.parse(one, above=usage.IN_BATCH), reservation) for one in raw]
    return usage.batch(raw, parsed, source, at)


def _naming(event: Event | Refused, reservation: UsageReservation) -> Event | Refused:
    """The event, under the reservation that is settled."""
    if isinstance(event, Refused):
        return event
    if event.reservation_id not in (None, reservation.reservation_id):
        return Refused("invalid", "The event names another reservation than the path.", "reservation_id")
    event.reservation_id = reservation.reservation_id
    return event


def _told(reservation: UsageReservation, at: datetime) -> dict[str, Any]:
    return {
        "id": reservation.pk,
        "reservation_id": reservation.reservation_id,
        "state": reservations.state_at(reservation, at),
        "over": reservation.over,
        "expires_at": reservation.expires_at,
    }
