"""`POST accounts/` makes an account, `GET accounts/{external_id}/` shows it."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Any

import msgspec
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.accounts import accounts
from billing.api import account_scope, representations, schema, schema_limits
from billing.api import plans as plan_shapes
from billing.api.parsers import body_of
from billing.errors import Refused
from billing.events import events
from billing.limits import limits
from billing.plans import plans


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    anchor_day: Annotated[int, msgspec.Meta(ge=1, le=31)] = 1


class AccountsView(APIView):
    """Makes accounts. The same request again answers with the account that is there, and changes nothing."""

    required_scope = "manage"

    @extend_schema(
        operation_id="create_account",
        summary="Make an account",
        request={"application/json": schema.of(NewAccount)},
        responses={200: schema.ACCOUNT, 201: schema.ACCOUNT, **schema.ERRORS_OF_WRITING},
    )
    def post(self, request: Request) -> Response:
        if account_scope.caller_of(request).account is not None:
            raise exceptions.PermissionDenied("A key of one account makes no others.")
        wanted = events.converted(body_of(request), NewAccount)
        events.check_account_id(wanted.external_id, "external_id")
        events.check_text(wanted.name, "name")
        if wanted.timezone not in zoneinfo.available_timezones():
            raise Refused("invalid", "Not an IANA time zone such as Europe/Berlin.", "timezone")
        account, made = accounts.create(at=timezone.now(), **msgspec.structs.asdict(wanted))
        return Response(
            representations.account(account), status=status.HTTP_201_CREATED if made else status.HTTP_200_OK
        )


class AccountView(APIView):
    """One account, its plan, and where it stands with each limit."""

    required_scope = "read"

    @extend_schema(
        operation_id="account",
        summary="Show an account",
        responses={200: schema_limits.ACCOUNT, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request, external_id: str) -> Response:
        return Response(_shown(account_scope.account_of(request, external_id)))


def _shown(account: Any) -> dict[str, Any]:  # noqa: ANN401 - an Account: the path always names one
    at = timezone.now()
    standings = limits.standing(account, at)
    return {
        **representations.account(account),
        "plan": plan_shapes.plan(plans.of_account(account, at)),
        "limits": plan_shapes.limits(one.limit for one in standings),
        "meters": plan_shapes.meters(standings),
    }
