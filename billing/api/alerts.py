"""`GET alerts/` lists alerts, newest first; `POST alerts/{id}/read/` marks one as read."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from billing.alerts import alert_text, alerts
from billing.api import paging, schema, schema_limits
from billing.api.api_view import ApiView
from billing.api.paging import PageParameters
from billing.api.parameters import AccountParameter
from billing.errors import Refused
from lib import query_string


class AlertParameters(PageParameters, frozen=True):
    unread: bool | None = None


class AlertsView(ApiView):
    """Lists alerts, newest first: limits that are nearly reached, exceeded, or projected to be exceeded."""

    required_scope = "read"
    query_parameters = AlertParameters

    @schema.operation(
        operation_id="alerts",
        summary="List alerts",
        responses={200: schema_limits.ALERT_PAGE, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        filters = query_string.parse(request.query_params, AlertParameters)
        rows, next_cursor = alerts.list_page(
            self.account, unread=filters.unread, before=_parse_cursor(filters.cursor), size=filters.page_size
        )
        return Response(
            {"next": paging.page_link(request, next_cursor), "results": [alert_text.as_json(alert) for alert in rows]}
        )


class ReadView(ApiView):
    """Marks an alert as read. Repeating the request changes nothing."""

    required_scope = "read"
    staff_permission = "billing.change_usagealert"
    query_parameters = AccountParameter

    @schema.operation(
        operation_id="read_alert",
        summary="Mark an alert as read",
        request=None,
        responses={200: schema_limits.ALERT, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        alert = alerts.find(self.account, id)
        if alert is None:
            raise Http404
        alerts.mark_read(alerts.for_account(alert.account).filter(pk=id), self.at)
        alert.refresh_from_db(fields=["read_at"])
        return Response(alert_text.as_json(alert))


def _parse_cursor(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Refused("invalid", "Use a cursor from a previous response.", "cursor") from error
