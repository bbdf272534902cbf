"""`GET alerts/` lists alerts, newest first; `POST alerts/{id}/read/` marks one as read."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.alerts import alert_text, alerts
from billing.api import account_scope, paging, schema, schema_limits
from billing.errors import Refused

FILTERS = ("account", "unread", "page_size", "cursor")
BOOLEANS = {"": None, "true": True, "false": False}


class AlertsView(APIView):
    """Lists alerts, newest first: limits that are nearly reached, exceeded, or projected to be exceeded."""

    required_scope = "read"

    @extend_schema(
        operation_id="alerts",
        summary="List alerts",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in FILTERS],
        responses={200: schema_limits.ALERT_PAGE, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        query: dict[str, str] = request.query_params.dict()  # if a filter is repeated, the last value counts
        account = account_scope.resolve_account(request, query.get("account"))
        unread, before = _parse_unread(query), _parse_cursor(query)
        rows, next_cursor = alerts.list_page(account, unread=unread, before=before, size=paging.page_size(query))
        return Response(
            {"next": paging.page_link(request, next_cursor), "results": [alert_text.as_json(alert) for alert in rows]}
        )


class ReadView(APIView):
    """Marks an alert as read. Repeating the request changes nothing."""

    required_scope = "read"
    staff_permission = "billing.change_usagealert"

    @extend_schema(
        operation_id="read_alert",
        summary="Mark an alert as read",
        request=None,
        responses={200: schema_limits.ALERT, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        account = account_scope.resolve_account(request, request.query_params.get("account"))
        alert = alerts.find(account, id)
        if alert is None:
            raise Http404
        alerts.mark_read(alerts.for_account(alert.account).filter(pk=id), timezone.now())
        alert.refresh_from_db(fields=["read_at"])
        return Response(alert_text.as_json(alert))


def _parse_unread(query: dict[str, str]) -> bool | None:
    """Parses the `unread` filter. Raises Refused for an invalid value or an unknown filter."""
    if unknown := sorted(set(query) - set(FILTERS)):
        raise Refused("unknown_field", "Unknown filter.", unknown[0])
    if query.get("unread", "") not in BOOLEANS:
        raise Refused("invalid", "Enter true or false.", "unread")
    return BOOLEANS[query.get("unread", "")]


def _parse_cursor(query: dict[str, str]) -> UUID | None:
    try:
        return UUID(query["cursor"]) if query.get("cursor") else None
    except ValueError as error:
        raise Refused("invalid", "Use a cursor from a previous response.", "cursor") from error
