"""`POST usage/` (one event or a batch) and `GET usage/summary/`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.accounts import usage_periods
from billing.accounts.access import Caller
from billing.accounts.usage_periods import Period
from billing.api import account_scope, representations, schema
from billing.api.errors import TooLarge, entry, refused
from billing.api.parsers import body_of
from billing.errors import Refused
from billing.events import events
from billing.events.events import Event
from billing.recording import metering
from billing.recording.metering import Result, Source
from billing.reports import reports
from lib import strict_json

MOST_EVENTS = 1000
IN_BATCH = 2  # levels around an event of a batch: the object, and its list


class UsageView(APIView):
    """Usage events come in here: one, or `{"events": [...]}` with up to 1,000. What is answered with 2xx is committed."""

    required_scope = "ingest"

    @extend_schema(
        operation_id="record_usage",
        summary="Record usage",
        request=schema.EVENT_OR_BATCH,
        responses={200: schema.BATCH_RESULT, 201: schema.RESULT, 207: schema.BATCH_RESULT, **schema.ERRORS_OF_USAGE},
        examples=[OpenApiExample("One event", value=schema.EXAMPLE_EVENT, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = body_of(request)
        source, at = _source(account_scope.caller_of(request)), timezone.now()
        if "events" not in body:
            return single(parse(body), source, at)
        raw = events_of(body)
        return batch(raw, [parse(one, above=IN_BATCH) for one in raw], source, at)


class SummaryView(APIView):
    """What a usage period cost, by provider and by category. Without `account`, a service key sees the whole platform."""

    required_scope = "read"

    @extend_schema(
        operation_id="usage_summary",
        summary="Summary of a period",
        parameters=[
            OpenApiParameter("account", OpenApiTypes.STR, description="The caller's own id of the account."),
            OpenApiParameter("period", OpenApiTypes.STR, description="`2026-11`; default: the current period."),
        ],
        responses={200: schema.SUMMARY, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request) -> Response:
        account = account_scope.account_of(request, request.query_params.get("account"))
        return Response(representations.summary(reports.summary(account, period_of(request, account), timezone.now())))


def period_of(request: Request, account: Any) -> Period:  # noqa: ANN401 - Account or None
    """The period that the query names, or the current one. Raises Refused."""
    name = request.query_params.get("period")
    if not name:
        return usage_periods.current_period(account, timezone.now())
    try:
        return usage_periods.named_period(account, name)
    except ValueError as error:
        raise Refused("invalid", "Not a period such as 2026-11.", "period") from error


def _source(caller: Caller) -> Source:
    return Source(
        account=caller.account,
        may_state_cost=caller.may_state_cost,
        may_create_accounts=caller.account is None and settings.CREATE_ACCOUNTS,
    )


def events_of(body: dict[str, Any]) -> list[Any]:
    batch = body["events"]
    if set(body) != {"events"} or not isinstance(batch, list):
        strict_json.audit(body)  # no event will look at this
    if set(body) != {"events"}:
        unknown = min(set(body) - {"events"})
        raise Refused("unknown_field", "A batch holds `events` and nothing else.", unknown)
    if not isinstance(batch, list):
        raise Refused("invalid", "Expected a list of events.", "events")
    if not batch:
        raise Refused("min_length", "A batch holds at least one event.", "events")
    if len(batch) > MOST_EVENTS:
        raise TooLarge(f"A batch holds at most {MOST_EVENTS} events.")
    return batch


def parse(raw: object, *, above: int = 0) -> Event | Refused:
    try:
        return events.parse(raw, above=above)
    except Refused as error:
        return error


def single(event: Event | Refused, source: Source, at: datetime, prefix: str = "") -> Response:
    """What became of one event; `prefix` is where it stands in the body."""
    if isinstance(event, Refused):
        return refused(event, prefix)
    result = metering.record([event], source=source, at=at)[0]
    if result.refused:
        return refused(result.refused, prefix)
    created = result.status == "accepted"
    return Response(
        {"event_id": result.event_id, **representations.result(result)},
        status=status.HTTP_201_CREATED if created else status.HTTP_200_OK,
    )


def batch(raw: Sequence[object], parsed: Sequence[Event | Refused], source: Source, at: datetime) -> Response:
    """What became of each event, as it came in and as it was read."""
    results = metering.record(parsed, source=source, at=at)
    counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0}
    for result in results:
        counts[result.status] += 1
    refusals = counts["conflict"] + counts["rejected"]
    code = 200 if not refusals else 422 if refusals == len(results) else 207
    body = {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"],
        "rejected": refusals,
        "results": [_line(index, raw[index], result) for index, result in enumerate(results)],
    }
    return Response(body, status=code)


def _line(index: int, raw: object, result: Result) -> dict[str, Any]:
    """One result of a batch; a refused event is named by what it called itself, where that is an id at all."""
    event_id = result.event_id or (raw.get("event_id") if isinstance(raw, dict) else None)
    return {
        "index": index,
        "event_id": event_id if isinstance(event_id, str) and event_id.isprintable() else None,
        **representations.result(result),
        "errors": [entry(result.refused, f"events.{index}")] if result.refused else [],
    }
