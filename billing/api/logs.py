"""`GET usage/logs/` (filters, keyset pages, CSV), `GET usage/logs/{id}/` with its explanation, and voiding a log."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import paging, schema
from billing.api.api_view import ApiView
from billing.api.paging import PageParameters
from billing.api.parameters import AccountParameter
from billing.api.parsers import json_body
from billing.charges import unread_decisions
from billing.corrections import corrections, resolution
from billing.errors import Refused
from billing.events import event_responses, events
from billing.events.events import Usage
from billing.ledger import log_search
from billing.ledger.log_search import LogSearch
from billing.models import Account, Category, Confidence, UnpricedReason, UsageLog, UsageState
from billing.reports import log_rows
from lib import csv_stream, query_string, struct_schema
from lib.keyset import PageCursor
from lib.query_string import choice, text
from providers import rulebook

ALLOWED_YEARS = range(2000, 2200)  # the same as in period names
Time = Annotated[str, Meta(description="A time with an offset.")]


class LogParameters(PageParameters, frozen=True):
    """The filters of a query by the names that log_search applies them by, its span, and the form of the answer."""

    since: Time = msgspec.field(default="", name="from")
    to: Annotated[Time, Meta(description="Exclusive.")] = ""
    period: Annotated[str, Meta(description="`2026-11`")] = ""
    provider: Annotated[str, text(50)] | None = None
    actual_provider: Annotated[str, text(50)] | None = None
    category: Annotated[str, choice(Category.values)] | None = None
    model: Annotated[str, text(200)] | None = None
    status: Annotated[str, choice(("success", "failed"))] | None = None
    status_code: Annotated[int, Meta(ge=100, le=599)] | None = None
    priced: bool | None = None
    estimated: bool | None = None
    usage_state: Annotated[str, choice(UsageState.values)] | None = None
    unpriced_reason: Annotated[str, choice(UnpricedReason.values)] | None = None
    confidence: Annotated[str, choice(Confidence.values)] | None = None
    voided: bool | None = None
    q: Annotated[str, text(256), Meta(description="An exact id, or the start of a model.")] | None = None
    format: Annotated[str, choice(("json", "csv"))] = "json"

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that are stated."""
        values = {name: getattr(self, name, None) for name in (*log_search.FILTERS, "q")}
        return {name: value for name, value in values.items() if value is not None}


class LogsView(ApiView):
    """Lists usage logs, newest first. `format=csv` returns all matching logs as a CSV file."""

    required_scope = "read"
    query_parameters = LogParameters

    @schema.operation(
        operation_id="usage_logs",
        summary="List usage logs",
        responses={200: schema.LOG_PAGE, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> HttpResponseBase:
        stated = query_string.parse(request.query_params, LogParameters)
        logs = search_for(stated, self.account, self.at).logs
        if stated.format == "csv":
            return csv_response(logs)
        page = log_search.fetch_page(logs, size=stated.page_size, cursor=_parse_cursor(stated.cursor))
        labels = rulebook.current().labels
        results = log_rows.as_json_list(log_rows.with_adjustments(page.rows), labels)
        return Response(
            {
                "next": paging.page_link(request, page.next),
                "previous": paging.page_link(request, page.previous),
                "results": results,
            }
        )


class LogView(ApiView):
    """Returns a usage log with its cost, how the cost was calculated, and how the provider was detected."""

    required_scope = "read"
    query_parameters = AccountParameter

    @schema.operation(
        operation_id="usage_log", summary="Show a usage log", responses={200: schema.LOG, **schema.READ_ERRORS}
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        return Response(log_rows.explained_log(get_log(self.account, id)))


class VoidBody(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=1, max_length=corrections.MAX_REASON_LENGTH)]


class VoidView(ApiView):
    """Voids a usage log: it no longer counts, but stays visible. Repeating the request changes nothing."""

    required_scope = "manage"
    query_parameters = AccountParameter
    staff_permission = corrections.CORRECT_PERMISSION

    @schema.operation(
        operation_id="void_usage_log",
        summary="Void a usage log",
        request={"application/json": struct_schema.from_struct(VoidBody)},
        example={"reason": "Sent twice"},
        responses={200: schema.LOG, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        log = get_log(self.account, id)
        body = events.convert(json_body(request), VoidBody)
        events.check_text(body.reason, "reason")
        corrections.void(log, reason=body.reason, actor=self.caller.name, at=self.at)
        return Response(log_rows.explained_log(get_log(self.account, id)))


class ResolveBody(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=1, max_length=corrections.MAX_REASON_LENGTH)]
    usage: Usage | None = None
    response: dict[str, Any] | list[Any] | None = None
    cost_usd: str | None = None


class ResolveView(ApiView):
    """Gives a call whose usage is not completely known its real usage or cost, once. Repeating the request changes nothing."""

    required_scope = "manage"
    query_parameters = AccountParameter
    staff_permission = corrections.CORRECT_PERMISSION

    @schema.operation(
        operation_id="resolve_usage_log",
        summary="State the real usage of a call",
        request={"application/json": struct_schema.from_struct(ResolveBody)},
        example={"usage": {"input_tokens": 1200, "output_tokens": 300}, "reason": "From the vendor's dashboard"},
        responses={200: schema.LOG, 409: schema.ERROR, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        log = get_log(self.account, id)
        body = events.convert(json_body(request), ResolveBody)
        events.check_text(body.reason, "reason")
        resolution.resolve(
            log,
            usage=_stated_usage(body, log),
            cost_usd=body.cost_usd,
            reason=body.reason,
            actor=self.caller.name,
            at=self.at,
        )
        return Response(log_rows.explained_log(get_log(self.account, id)))


def _stated_usage(body: ResolveBody, log: UsageLog) -> Usage | None:
    """Returns the usage that the body states or has in a vendor's response. Raises Refused."""
    if body.response is None:
        return body.usage
    if body.usage is not None:
        raise Refused("invalid", "Send `usage` or `response`, not both.", "response")
    decisions = unread_decisions.current().decisions
    return event_responses.read_whole_usage(body.response, decisions, cached_included=log.cached_included)


def get_log(account: Account | None, id: UUID) -> UsageLog:  # noqa: A002
    """Returns the log of the account, or of any account for None. Raises Http404."""
    log = LogSearch(account, filters={"id": id}).logs.first()
    if log is None:
        raise Http404
    return log


def search_for(stated: LogParameters, account: Account | None, at: datetime) -> LogSearch:
    """The search of usage logs for these parameters. Raises Refused."""
    since, until = _parse_span(stated, account)
    return LogSearch(account, since, until, stated.filters).bounded(at)


def _parse_span(stated: LogParameters, account: Account | None) -> tuple[datetime | None, datetime | None]:
    since, until = _parse_time(stated.since, "from"), _parse_time(stated.to, "to")
    if not stated.period:
        return since, until
    try:
        start, end = log_search.period_bounds(account, stated.period)
    except ValueError as error:
        raise Refused("invalid", "Enter a period such as 2026-11.", "period") from error
    return max(start, since or start), min(end, until or end)


def _parse_time(text: str, name: str) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(events.normalise_time(text, name))
    if time.year not in ALLOWED_YEARS:
        raise Refused("out_of_range", f"The year must be from {ALLOWED_YEARS[0]} to {ALLOWED_YEARS[-1]}.", name)
    return time


def _parse_cursor(text: str) -> PageCursor | None:
    try:
        return PageCursor.parse(text) if text else None
    except ValueError as error:
        raise Refused("invalid", "Use a cursor from a previous response.", "cursor") from error


def csv_response(logs: QuerySet[UsageLog]) -> StreamingHttpResponse:
    """Streams the logs as a CSV attachment."""
    labels = rulebook.current().labels
    lines = chain.from_iterable(log_rows.csv_rows(page, labels) for page in log_search.stream(logs))
    return csv_stream.response("usage-logs.csv", log_rows.COLUMNS, lines)
