"""`GET alerts/`, newest first, and `POST alerts/{id}/read/`."""

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
WORDS = {"": None, "true": True, "false": False}


class AlertsView(APIView):
    """Limits that came near, were passed, or will be at this rate; newest first."""

    required_scope = "read"

    @extend_schema(
        operation_id="alerts",
        summary="List alerts",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in FILTERS],
        responses={200: schema_limits.ALERT_PAGE, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> Response:
        query: dict[str, str] = request.query_params.dict()  # of a filter given twice, the last counts
        account = account_scope.account_of(request, query.get("account"))
        unread, before = _unread(query), _cursor(query)
        found, following = alerts.page(account, unread=unread, before=before, size=paging.size(query))
        return Response({"next": paging.link(request, following), "results": [alert_text.told(one) for one in found]})


class ReadView(APIView):
    """Marks an alert as read. The same request again changes nothing."""

    required_scope = "read"
    staff_permission = "billing.change_usagealert"

    @extend_schema(
        operation_id="read_alert",
        summary="Mark an alert as read",
        request=None,
        responses={200: schema_limits.ALERT, **schema.ERRORS_OF_WRITING},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the contract's name
        account = account_scope.account_of(request, request.query_params.get("account"))
        alert = alerts.find(account, id)
        if alert is None:
            raise Http404
        alerts.mark_read(alerts.of(alert.account).filter(pk=id), timezone.now())
        alert.refresh_from_db(fields=["read_at"])
        return Response(alert_text.told(alert))


def _unread(query: dict[str, str]) -> bool | None:
    """Raises Refused, as for any filter that there is not."""
    if unknown := sorted(set(query) - set(FILTERS)):
        raise Refused("unknown_field", "There is no such filter.", unknown[0])
    if query.get("unread", "") not in WORDS:
        raise Refused("invalid", "Either true or false.", "unread")
    return WORDS[query.get("unread", "")]


def _cursor(query: dict[str, str]) -> UUID | None:
    try:
        return UUID(query["cursor"]) if query.get("cursor") else None
    except ValueError as error:
        raise Refused("invalid", "Not a cursor that this service gave out.", "cursor") from error
