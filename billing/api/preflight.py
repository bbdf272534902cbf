"""`POST preflight/`: would these calls pass, together? And what every refusal of a limit looks like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from msgspec import Meta, Struct
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.accounts import accounts
from billing.api import account_scope, schema, schema_limits
from billing.api.parsers import body_of
from billing.errors import Refused
from billing.events import events
from billing.limits import decisions, limits, operations
from billing.limits.decisions import Refusal
from billing.limits.operations import Operations
from billing.models import Account

STATUS = {
    decisions.INACTIVE: status.HTTP_402_PAYMENT_REQUIRED,
    decisions.NOT_IN_PLAN: status.HTTP_403_FORBIDDEN,
    decisions.UNPRICED: status.HTTP_403_FORBIDDEN,
    decisions.EXCEEDED: status.HTTP_429_TOO_MANY_REQUESTS,
}
SOON = 5  # seconds after which room that calls in progress hold may be free


class PreflightBody(Struct, forbid_unknown_fields=True):
    operations: Operations
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class PreflightView(APIView):
    """Whether calls would pass every limit of an account, together. Nothing is written and nothing held."""

    required_scope = "limits"

    @extend_schema(
        operation_id="preflight",
        summary="Would these calls pass?",
        request={"application/json": schema.of(PreflightBody)},
        responses={200: schema_limits.DECISION, **schema.ERRORS_OF_WRITING},
    )
    def post(self, request: Request) -> Response:
        body = operations.converted(body_of(request), PreflightBody)
        at = timezone.now()
        return Response(decisions.told(limits.preflight(account_of(request, body.account, at), body.operations, at)))


def account_of(request: Request, named: str | None, at: datetime) -> Account:
    """Whose limits are meant. One that a first event would make is asked about as it would be made. Raises Refused."""
    own = account_scope.caller_of(request).account
    if own is not None and named in (None, own.external_id):
        return own
    if named is None:
        raise Refused("required", "A service key says which account it means.", "account")
    events.check_account_id(named, "account")
    known = accounts.get(named) if own is None else None
    if known is None and (own is not None or not settings.CREATE_ACCOUNTS):
        raise Refused("unknown_account", "There is no such account.", "account")
    return known or accounts.new(external_id=named, at=at)


def refusal(error: Refusal, at: datetime) -> Response:
    """A refusal with the limit that stands in the way; `Retry-After` where waiting helps."""
    body: dict[str, object] = {
        "type": "client_error",
        "errors": [{"code": error.code, "detail": error.detail, "attr": None}],
    }
    answer = Response(body, status=STATUS[error.code])
    if error.standing:
        body["limit"] = decisions.told_limit(error.standing)
        if error.code == decisions.EXCEEDED:
            seconds = -((at - error.standing.resets_at).total_seconds() // 1)
            answer["Retry-After"] = str(SOON if error.standing.held_up else max(int(seconds), 1))
    return answer
