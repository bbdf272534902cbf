"""`GET usage/logs/` (filters, keyset pages, CSV), `GET usage/logs/{id}/` with its explanation, and voiding a log."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

import django_filters
import msgspec
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api import account_scope, paging, schema
from billing.api.parsers import json_body
from billing.corrections import corrections, resolution
from billing.errors import Refused
from billing.events import event_responses, events
from billing.events.events import Usage
from billing.ledger import log_search
from billing.ledger.log_search import LogSearch
from billing.models import Account, Category, Confidence, UnpricedReason, UsageLog, UsageState
from billing.reports import log_rows
from lib import csv_stream
from lib.keyset import PageCursor
from providers import rulebook


class LogFilters(django_filters.FilterSet):
    """Parses and validates the filters of a query; log_search applies them."""

    provider = django_filters.CharFilter(max_length=50)
    actual_provider = django_filters.CharFilter(max_length=50)
    category = django_filters.ChoiceFilter(choices=Category.choices)
    model = django_filters.CharFilter(max_length=200, strip=False)
    status = django_filters.ChoiceFilter(choices=[("success", "success"), ("failed", "failed")])
    status_code = django_filters.NumberFilter(min_value=100, max_value=599, decimal_places=0)
    priced = paging.boolean_filter()
    estimated = paging.boolean_filter()
    usage_state = django_filters.ChoiceFilter(choices=UsageState.choices)
    unpriced_reason = django_filters.ChoiceFilter(choices=UnpricedReason.choices)
    confidence = django_filters.ChoiceFilter(choices=Confidence.choices)
    voided = paging.boolean_filter()
    q = django_filters.CharFilter(max_length=256, strip=False)

    class Meta:
        model = UsageLog
        fields: list[str] = []


FORMATS = ("json", "csv")
ALLOWED_YEARS = range(2000, 2200)  # the same as in period names
OTHER_PARAMETERS = {"account", "from", "to", "period", "page_size", "cursor", "format"}


class LogsView(APIView):
    """Lists usage logs, newest first. `format=csv` returns all matching logs as a CSV file."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_logs",
        summary="List usage logs",
        parameters=[
            OpenApiParameter(name, OpenApiTypes.STR)
            for name in ("account", "from", "to", "period", "page_size", "cursor", "format", *LogFilters.base_filters)
        ],
        responses={200: schema.LOG_PAGE, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> HttpResponseBase:
        query: dict[str, str] = request.query_params.dict()  # if a filter is repeated, the last value counts
        logs = parse_search(query, account_scope.resolve_account(request, query.get("account")), timezone.now()).logs
        if query.get("format") == "csv":
            return csv_response(logs)
        size, cursor = paging.page_size(query), _parse_cursor(query)
        page = log_search.fetch_page(logs, size=size, cursor=cursor)
        labels = rulebook.current().labels
        results = log_rows.as_json_list(log_rows.with_adjustments(page.rows), labels)
        return Response(
            {
                "next": paging.page_link(request, page.next),
                "previous": paging.page_link(request, page.previous),
                "results": results,
            }
        )


class LogView(APIView):
    """Returns a usage log with its cost, how the cost was calculated, and how the provider was detected."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_log", summary="Show a usage log", responses={200: schema.LOG, **schema.READ_ERRORS}
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        return Response(
            log_rows.explained_log(
                get_log(account_scope.resolve_account(request, request.query_params.get("account")), id)
            )
        )


class VoidBody(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=corrections.MAX_REASON_LENGTH)]


class VoidView(APIView):
    """Voids a usage log: it no longer counts, but stays visible. Repeating the request changes nothing."""

    required_scope = "manage"
    staff_permission = corrections.CORRECT_PERMISSION

    @extend_schema(
        operation_id="void_usage_log",
        summary="Void a usage log",
        request={"application/json": schema.from_struct(VoidBody)},
        responses={200: schema.LOG, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        account = account_scope.resolve_account(request, request.query_params.get("account"))
        log = get_log(account, id)
        body = events.convert(json_body(request), VoidBody)
        events.check_text(body.reason, "reason")
        corrections.void(log, reason=body.reason, actor=account_scope.get_caller(request).name, at=timezone.now())
        return Response(log_rows.explained_log(get_log(account, id)))


class ResolveBody(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=corrections.MAX_REASON_LENGTH)]
    usage: Usage | None = None
    response: dict[str, Any] | list[Any] | None = None
    cost_usd: str | None = None


class ResolveView(APIView):
    """Gives a call whose usage is not completely known its real usage or cost, once. Repeating the request changes nothing."""

    required_scope = "manage"
    staff_permission = corrections.CORRECT_PERMISSION

    @extend_schema(
        operation_id="resolve_usage_log",
        summary="State the real usage of a call",
        request={"application/json": schema.from_struct(ResolveBody)},
        responses={200: schema.LOG, 409: schema.ERROR, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the name in the URL
        account = account_scope.resolve_account(request, request.query_params.get("account"))
        log = get_log(account, id)
        body = events.convert(json_body(request), ResolveBody)
        events.check_text(body.reason, "reason")
        resolution.resolve(
            log,
            usage=_stated_usage(body, log),
            cost_usd=body.cost_usd,
            reason=body.reason,
            actor=account_scope.get_caller(request).name,
            at=timezone.now(),
        )
        return Response(log_rows.explained_log(get_log(account, id)))


def _stated_usage(body: ResolveBody, log: UsageLog) -> Usage | None:
    """Returns the usage that the body states or has in a vendor's response. Raises Refused."""
    if body.response is None:
        return body.usage
    if body.usage is not None:
        raise Refused("invalid", "Send `usage` or `response`, not both.", "response")
    return event_responses.read_whole_usage(body.response, cached_included=log.cached_included)


def get_log(account: Account | None, id: UUID) -> UsageLog:  # noqa: A002
    """Returns the log of the account, or of any account for None. Raises Http404."""
    log = LogSearch(account, filters={"id": id}).logs.first()
    if log is None:
        raise Http404
    return log


def parse_search(query: dict[str, str], account: Account | None, at: datetime) -> LogSearch:
    """Parses a query string into a search of usage logs. Raises Refused."""
    filters = LogFilters(query)
    unknown = sorted(set(query) - OTHER_PARAMETERS - set(filters.filters))
    if unknown:
        raise Refused("unknown_field", "Unknown filter.", unknown[0])
    if not filters.form.is_valid():
        name, errors = next(iter(filters.form.errors.as_data().items()))
        raise Refused("invalid", str(errors[0].messages[0]), name)
    values = {name: value for name, value in filters.form.cleaned_data.items() if value not in (None, "")}
    if query.get("format", "json") not in FORMATS:
        raise Refused("invalid", f"Use one of these formats: {', '.join(FORMATS)}.", "format")
    since, until = _parse_span(query, account)
    return LogSearch(account, since, until, values).bounded(at)


def _parse_span(query: dict[str, str], account: Account | None) -> tuple[datetime | None, datetime | None]:
    since, until = _parse_time(query, "from"), _parse_time(query, "to")
    if not query.get("period"):
        return since, until
    try:
        start, end = log_search.period_bounds(account, query["period"])
    except ValueError as error:
        raise Refused("invalid", "Enter a period such as 2026-11.", "period") from error
    return max(start, since or start), min(end, until or end)


def _parse_time(query: dict[str, str], name: str) -> datetime | None:
    if not query.get(name):
        return None
    time = datetime.fromisoformat(events.normalise_time(query[name], name))
    if time.year not in ALLOWED_YEARS:
        raise Refused("out_of_range", f"The year must be from {ALLOWED_YEARS[0]} to {ALLOWED_YEARS[-1]}.", name)
    return time


def _parse_cursor(query: dict[str, str]) -> PageCursor | None:
    try:
        return PageCursor.parse(query["cursor"]) if query.get("cursor") else None
    except ValueError as error:
        raise Refused("invalid", "Use a cursor from a previous response.", "cursor") from error


def csv_response(logs: QuerySet[UsageLog]) -> StreamingHttpResponse:
    """Streams the logs as a CSV attachment."""
    labels = rulebook.current().labels
    lines = chain.from_iterable(log_rows.csv_rows(page, labels) for page in log_search.stream(logs))
    return csv_stream.response("usage-logs.csv", log_rows.COLUMNS, lines)
