"""Reads single requests: the latest errors, the slowest, and all requests of a search for an export.

The log is large and has one index, by time, so the per-minute counts limit each read to a short span.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.db.models import Q, QuerySet, Sum

from monitoring.models import ApiRequest, RequestMinute

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
MAX_ERRORS, MAX_SLOWEST = 15, 10
MIN_EXAMINED = 50_000  # requests among which to find the slowest, rounded up to a full minute
STREAM_PAGE_SIZE = 2000


@dataclass(frozen=True, slots=True)
class SlowestRequests:
    """The slowest of the `examined` latest requests, those since `since`; slowest first. `since` is None for an empty day."""

    since: datetime | None
    examined: int
    requests: list[ApiRequest]


def recent_errors(at: datetime) -> list[ApiRequest]:
    """The latest errors of the last day, without polls, as in health."""
    failing = RequestMinute.objects.filter(minute__gt=at - DAY, errors__gt=0).order_by("-minute")
    minutes = failing.values_list("minute", flat=True).distinct()[:MAX_ERRORS]  # each has at least one error
    if not (spans := [Q(at__gte=minute, at__lt=minute + MINUTE) for minute in minutes]):
        return []
    errors = ApiRequest.objects.filter(reduce(or_, spans), status__gte=settings.HEALTH_ERROR_FROM, poll=False)
    return list(errors.order_by("-at", "-id")[:MAX_ERRORS])


def slowest_requests(at: datetime) -> SlowestRequests:
    counts = RequestMinute.objects.filter(minute__gt=at - DAY).order_by("-minute").values("minute")
    since, examined = None, 0
    for row in counts.annotate(total=Sum("requests")):
        since, examined = row["minute"], examined + int(row["total"])
        if examined >= MIN_EXAMINED:
            break
    if since is None:
        return SlowestRequests(None, 0, [])
    slowest = ApiRequest.objects.filter(at__gte=since, poll=False).order_by("-duration_us", "-at")
    return SlowestRequests(since, examined, list(slowest[:MAX_SLOWEST]))


def stream(requests: QuerySet[ApiRequest]) -> Iterator[ApiRequest]:
    """Yield all requests, newest first, by keyset pages, so that memory stays flat on every database."""
    requests = requests.order_by("-at", "-id")
    page = list(requests[:STREAM_PAGE_SIZE])
    while page:
        yield from page
        last = page[-1]
        before = Q(at__lt=last.at) | Q(at=last.at, id__lt=last.id)
        page = (
            list(requests.filter(before, at__lte=last.at)[:STREAM_PAGE_SIZE]) if len(page) == STREAM_PAGE_SIZE else []
        )
