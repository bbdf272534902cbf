"""`GET usage/logs/` with filters, keyset pages and CSV, `GET usage/logs/{id}/` with its explanation, and voiding one."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Annotated
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
from billing.api.parsers import body_of
from billing.corrections import corrections
from billing.errors import Refused
from billing.events import events
from billing.ledger import log_search
from billing.ledger.log_search import Search
from billing.models import Account, Category, Confidence, UsageLog
from billing.reports import log_rows
from lib import csv_stream
from lib.keyset import Mark
from providers import rulebook


class LogFilters(django_filters.FilterSet):
    """Reads and checks the query's filters; log_search knows what each means."""

    provider = django_filters.CharFilter(max_length=50)
    actual_provider = django_filters.CharFilter(max_length=50)
    category = django_filters.ChoiceFilter(choices=Category.choices)
    model = django_filters.CharFilter(max_length=200, strip=False)
    status = django_filters.ChoiceFilter(choices=[("success", "success"), ("failed", "failed")])
    status_code = django_filters.NumberFilter(min_value=100, max_value=599, decimal_places=0)
    priced = paging.yes_or_no()
    confidence = django_filters.ChoiceFilter(choices=Confidence.choices)
    voided = paging.yes_or_no()
    q = django_filters.CharFilter(max_length=256, strip=False)

    class Meta:
        model = UsageLog
        fields: list[str] = []


FORMATS = ("json", "csv")
YEARS = range(2000, 2200)  # as periods have names
OTHERS = {"account", "from", "to", "period", "page_size", "cursor", "format"}


class LogsView(APIView):
    """Usage logs, newest first."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_logs",
        summary="List usage logs",
        parameters=[
            OpenApiParameter(name, OpenApiTypes.STR)
            for name in ("account", "from", "to", "period", "page_size", "cursor", "format", *LogFilters.base_filters)
        ],
        responses={200: schema.LOG_PAGE, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> HttpResponseBase:
        query: dict[str, str] = request.query_params.dict()  # of a filter given twice, the last counts
        found = search_of(query, account_scope.account_of(request, query.get("account")), timezone.now()).found
        if query.get("format") == "csv":
            return csv_of(found)
        size, mark = paging.size(query), _mark(query)
        page = log_search.page(found, size=size, mark=mark)
        labels = rulebook.current().labels
        results = log_rows.records(log_rows.with_adjustments(page.rows), labels)
        return Response(
            {
                "next": paging.link(request, page.next),
                "previous": paging.link(request, page.previous),
                "results": results,
            }
        )


class LogView(APIView):
    """One usage log: what it cost and why, and how its provider was found."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_log", summary="Show a usage log", responses={200: schema.LOG, **schema.ERRORS_OF_READING}
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the contract's name
        return Response(
            log_rows.whole(log_of(account_scope.account_of(request, request.query_params.get("account")), id))
        )


class Void(msgspec.Struct, forbid_unknown_fields=True):
    """What a request to void a log says."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=corrections.REASON)]


class VoidView(APIView):
    """Voids a usage log: it counts no more, and stays to be seen. The same request again changes nothing."""

    required_scope = "manage"
    staff_permission = corrections.MAY_CORRECT

    @extend_schema(
        operation_id="void_usage_log",
        summary="Void a usage log",
        request={"application/json": schema.of(Void)},
        responses={200: schema.LOG, **schema.ERRORS_OF_WRITING},
    )
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the contract's name
        account = account_scope.account_of(request, request.query_params.get("account"))
        log = log_of(account, id)
        wanted = events.converted(body_of(request), Void)
        events.check_text(wanted.reason, "reason")
        corrections.void(log, reason=wanted.reason, actor=account_scope.caller_of(request).name, at=timezone.now())
        return Response(log_rows.whole(log_of(account, id)))


def log_of(account: Account | None, id: UUID) -> UsageLog:  # noqa: A002
    """The log, where the caller may see it; else Http404."""
    log = Search(account, filters={"id": id}).found.first()
    if log is None:
        raise Http404
    return log


def search_of(query: dict[str, str], account: Account | None, at: datetime) -> Search:
    """The search that a query string asks for. Raises Refused for what it can't mean."""
    filters = LogFilters(query)
    unknown = sorted(set(query) - OTHERS - set(filters.filters))
    if unknown:
        raise Refused("unknown_field", "There is no such filter.", unknown[0])
    if not filters.form.is_valid():
        name, errors = next(iter(filters.form.errors.as_data().items()))
        raise Refused("invalid", str(errors[0].messages[0]), name)
    values = {name: value for name, value in filters.form.cleaned_data.items() if value not in (None, "")}
    if query.get("format", "json") not in FORMATS:
        raise Refused("invalid", f"The format is one of {', '.join(FORMATS)}.", "format")
    since, until = _span(query, account)
    return Search(account, since, until, values).bounded(at)


def _span(query: dict[str, str], account: Account | None) -> tuple[datetime | None, datetime | None]:
    since, until = _moment(query, "from"), _moment(query, "to")
    if not query.get("period"):
        return since, until
    try:
        start, end = log_search.of_period(account, query["period"])
    except ValueError as error:
        raise Refused("invalid", "Not a period such as 2026-11.", "period") from error
    return max(start, since or start), min(end, until or end)


def _moment(query: dict[str, str], name: str) -> datetime | None:
    if not query.get(name):
        return None
    moment = datetime.fromisoformat(events.utc(query[name], name))
    if moment.year not in YEARS:
        raise Refused("out_of_range", f"Not in the years {YEARS[0]} to {YEARS[-1]}.", name)
    return moment


def _mark(query: dict[str, str]) -> Mark | None:
    try:
        return Mark.parse(query["cursor"]) if query.get("cursor") else None
    except ValueError as error:
        raise Refused("invalid", "Not a cursor that this service gave out.", "cursor") from error


def csv_of(found: QuerySet[UsageLog]) -> StreamingHttpResponse:
    """The logs as a CSV attachment, streamed."""
    labels = rulebook.current().labels
    lines = chain.from_iterable(log_rows.lines(page, labels) for page in log_search.stream(found))
    return csv_stream.response("usage-logs.csv", log_rows.COLUMNS, lines)
