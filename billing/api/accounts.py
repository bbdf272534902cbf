"""`POST accounts/` creates an account, `GET accounts/{external_id}/` shows it."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Annotated, Any

import msgspec
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from billing.accounts import accounts
from billing.api import plans as plans_api
from billing.api import representations, schema, schema_limits
from billing.api.api_view import ApiView
from billing.api.parsers import json_body
from billing.errors import Refused
from billing.events import events
from billing.limits import limits
from billing.plans import plans
from lib import struct_schema


class AccountBody(msgspec.Struct, forbid_unknown_fields=True):
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    anchor_day: Annotated[int, msgspec.Meta(ge=1, le=31)] = 1


class AccountsView(ApiView):
    """Creates an account. If the account exists, it is returned unchanged with status 200."""

    required_scope = "manage"

    @schema.operation(
        operation_id="create_account",
        summary="Create an account",
        request={"application/json": struct_schema.from_struct(AccountBody)},
        example={"external_id": "acct_42", "name": "Example Ltd", "timezone": "Europe/Berlin"},
        responses={200: schema.ACCOUNT, 201: schema.ACCOUNT, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        if self.caller.account is not None:
            raise exceptions.PermissionDenied("A key that is bound to an account cannot create accounts.")
        body = events.convert(json_body(request), AccountBody)
        events.check_account_id(body.external_id, "external_id")
        events.check_text(body.name, "name")
        if body.timezone not in zoneinfo.available_timezones():
            raise Refused("invalid", "Enter an IANA time zone such as Europe/Berlin.", "timezone")
        account, created = accounts.create(at=self.at, **msgspec.structs.asdict(body))
        return Response(
            representations.account_as_json(account), status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class AccountView(ApiView):
    """Returns an account with its plan, and the status of each limit."""

    required_scope = "read"

    @schema.operation(
        operation_id="account",
        summary="Show an account",
        responses={200: schema_limits.ACCOUNT, **schema.READ_ERRORS},
    )
    def get(self, request: Request, external_id: str) -> Response:
        return Response(_detail(self.account, self.at))


def _detail(account: Any, at: datetime) -> dict[str, Any]:  # noqa: ANN401 - an Account, because the path always names one
    statuses = limits.statuses(account, at)
    return {
        **representations.account_as_json(account),
        "plan": plans_api.plan_as_json(plans.for_account(account, at)),
        "limits": plans_api.limits_as_json(status.limit for status in statuses),
        "meters": plans_api.meters_as_json(statuses),
    }
