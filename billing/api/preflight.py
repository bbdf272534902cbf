"""`POST preflight/`: tells whether calls would be allowed; and the error response of a refusal by a limit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.conf import settings
from msgspec import Meta, Struct
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing.accounts import accounts
from billing.api import schema, schema_limits
from billing.api.api_view import ApiView
from billing.api.parsers import json_body
from billing.errors import Refused
from billing.events import events
from billing.limits import decisions, limits, operations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operations
from billing.models import Account
from lib import struct_schema

STATUS_BY_CODE = {
    decisions.INACTIVE: status.HTTP_402_PAYMENT_REQUIRED,
    decisions.NOT_IN_PLAN: status.HTTP_403_FORBIDDEN,
    decisions.UNPRICED: status.HTTP_403_FORBIDDEN,
    decisions.EXCEEDED: status.HTTP_429_TOO_MANY_REQUESTS,
}
RETRY_AFTER_SECONDS = 5  # by then, reservations of calls in progress may be released


class PreflightBody(Struct, forbid_unknown_fields=True):
    operations: Operations
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class PreflightView(ApiView):
    """Tells whether these calls, together, would be allowed by every limit of an account. Nothing is reserved."""

    required_scope = "limits"

    @schema.operation(
        operation_id="preflight",
        summary="Check calls against the limits",
        request={"application/json": struct_schema.from_struct(PreflightBody)},
        example=schema.EXAMPLE_CALLS,
        responses={200: schema_limits.DECISION, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        body = operations.convert(json_body(request), PreflightBody)
        account = resolve_account(self.caller.account, body.account, self.at)
        return Response(decisions.as_json(limits.preflight(account, body.operations, self.at)))


def resolve_account(own: Account | None, external_id: str | None, at: datetime) -> Account:
    """Returns the account that a body names, or the caller's own; unsaved if an event would create it. Raises Refused."""
    if own is not None and external_id in (None, own.external_id):
        return own
    if external_id is None:
        raise Refused("required", "Name the account that this request is for.", "account")
    events.check_account_id(external_id, "account")
    known = accounts.get(external_id) if own is None else None
    if known is None and (own is not None or not settings.CREATE_ACCOUNTS):
        raise Refused("unknown_account", "There is no such account.", "account")
    return known or accounts.build(external_id=external_id, at=at)


def refusal_response(error: Refusal, at: datetime) -> Response:
    """Builds the error response with the limit that refused; sets `Retry-After` if waiting helps."""
    body: dict[str, object] = {
        "type": "client_error",
        "errors": [{"code": error.code, "detail": error.detail, "attr": None}],
    }
    response = Response(body, status=STATUS_BY_CODE[error.code])
    if error.limit_status:
        body["limit"] = decisions.limit_as_json(error.limit_status)
        if error.code == decisions.EXCEEDED:
            seconds = -((at - error.limit_status.resets_at).total_seconds() // 1)
            response["Retry-After"] = str(
                RETRY_AFTER_SECONDS if error.limit_status.blocked_by_holds else max(int(seconds), 1)
            )
    return response
