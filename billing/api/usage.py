"""`POST usage/` records one event or a batch; `GET usage/summary/` sums a period."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing.accounts import usage_periods
from billing.accounts.access import Caller
from billing.accounts.usage_periods import Period
from billing.api import representations, schema
from billing.api.api_view import ApiView
from billing.api.errors import TooLarge, error_as_json, refusal_response
from billing.api.parameters import PeriodParameters
from billing.api.parsers import json_body
from billing.errors import Refused
from billing.events import event_responses
from billing.events.events import Event
from billing.models import Account
from billing.recording import metering
from billing.recording.metering import EventSource, Result
from billing.reports import reports
from lib import query_string, strict_json

MAX_BATCH_EVENTS = 1000
BATCH_NESTING = 2  # JSON levels around an event of a batch: the object and its list


class UsageView(ApiView):
    """Records usage events: one, or `{"events": [...]}` with up to 1,000. A 2xx response means the events are stored."""

    required_scope = "ingest"

    @schema.operation(
        operation_id="record_usage",
        summary="Record usage",
        request=schema.EVENT_OR_BATCH,
        responses={200: schema.BATCH_RESULT, 201: schema.RESULT, 207: schema.BATCH_RESULT, **schema.USAGE_ERRORS},
        example=schema.EXAMPLE_EVENT,
    )
    def post(self, request: Request) -> Response:
        body = json_body(request)
        source, at = _source(self.caller), self.at
        if "events" not in body:
            return record_single(parse_event(body), source, at)
        raw = batch_events(body)
        return record_batch(raw, [parse_event(item, depth=BATCH_NESTING) for item in raw], source, at)


class SummaryView(ApiView):
    """Returns the cost of a usage period by provider and by category.

    Without `account`, a service key gets the whole platform.
    """

    required_scope = "read"
    query_parameters = PeriodParameters

    @schema.operation(
        operation_id="usage_summary",
        summary="Summary of a period",
        responses={200: schema.SUMMARY, **schema.READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        period = resolve_period(request, self.account, self.at)
        return Response(representations.summary_as_json(reports.summary(self.account, period, self.at)))


def resolve_period(request: Request, account: Account | None, at: datetime) -> Period:
    """Returns the account's period that the query names, or its current one. Raises Refused."""
    named = query_string.parse(request.query_params, PeriodParameters)
    if not named.period:
        return usage_periods.current_period(account, at)
    try:
        return usage_periods.named_period(account, named.period)
    except ValueError as error:
        raise Refused("invalid", "Enter a period such as 2026-11.", "period") from error


def _source(caller: Caller) -> EventSource:
    return EventSource(
        account=caller.account,
        may_state_cost=caller.may_state_cost,
        may_create_accounts=caller.account is None and settings.CREATE_ACCOUNTS,
    )


def batch_events(body: dict[str, Any]) -> list[Any]:
    batch = body["events"]
    if set(body) != {"events"} or not isinstance(batch, list):
        strict_json.check_limits(body)  # the events are not parsed, so their limits are not checked elsewhere
    if set(body) != {"events"}:
        unknown = min(set(body) - {"events"})
        raise Refused("unknown_field", "A batch must have no field other than `events`.", unknown)
    if not isinstance(batch, list):
        raise Refused("invalid", "`events` must be a list.", "events")
    if not batch:
        raise Refused("min_length", "A batch must have at least one event.", "events")
    if len(batch) > MAX_BATCH_EVENTS:
        raise TooLarge(f"A batch must not have more than {MAX_BATCH_EVENTS} events.")
    if sum(map(event_responses.count_pieces, batch)) > event_responses.MAX_PIECES:
        raise TooLarge(f"A batch must not have more than {event_responses.MAX_PIECES:,} pieces of responses.")
    return batch


def parse_event(raw: object, *, depth: int = 0) -> Event | Refused:
    try:
        return event_responses.parse(raw, depth=depth)
    except Refused as error:
        return error


def record_single(event: Event | Refused, source: EventSource, at: datetime, prefix: str = "") -> Response:
    """Records one event and builds the response; `prefix` is its path in the body."""
    if isinstance(event, Refused):
        return refusal_response(event, prefix)
    result = metering.record([event], source=source, at=at)[0]
    if result.refused:
        return refusal_response(result.refused, prefix)
    created = result.status == "accepted"
    return Response(
        {"event_id": result.event_id, **representations.result_as_json(result)},
        status=status.HTTP_201_CREATED if created else status.HTTP_200_OK,
    )


def record_batch(
    raw: Sequence[object], parsed: Sequence[Event | Refused], source: EventSource, at: datetime
) -> Response:
    """Records a batch and builds the response with one result per event; `raw` are the unparsed events."""
    results = metering.record(parsed, source=source, at=at)
    counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0}
    for result in results:
        counts[result.status] += 1
    refusals = counts["conflict"] + counts["rejected"]
    status_code = 200 if not refusals else 422 if refusals == len(results) else 207
    body = {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"],
        "rejected": refusals,
        "results": [_batch_result(index, raw[index], result) for index, result in enumerate(results)],
    }
    return Response(body, status=status_code)


def _batch_result(index: int, raw: object, result: Result) -> dict[str, Any]:
    """Builds one result of a batch; a refused event gets the id it was sent with, if that is printable text."""
    event_id = result.event_id or (raw.get("event_id") if isinstance(raw, dict) else None)
    return {
        "index": index,
        "event_id": event_id if isinstance(event_id, str) and event_id.isprintable() else None,
        **representations.result_as_json(result),
        "errors": [error_as_json(result.refused, f"events.{index}")] if result.refused else [],
    }
