"""What is read of single requests: the newest errors, the slowest, and all of a search for an export.

The log is large and has one index, by time: the minutes say where to look, so that no read goes through all of it.
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
ERRORS, SLOWEST = 15, 10
LOOKED = 50_000  # requests among which the slowest are looked for, and those of one minute more
STREAM = 2000


@dataclass(frozen=True, slots=True)
class Slowest:
    """The slowest first, of the newest requests: `looked` of them, those since `since`. Nothing in a day: None."""

    since: datetime | None
    looked: int
    requests: list[ApiRequest]


def recent_errors(at: datetime) -> list[ApiRequest]:
    """The newest of the last day; polls are left out, as in health."""
    failing = RequestMinute.objects.filter(minute__gt=at - DAY, errors__gt=0).order_by("-minute")
    minutes = failing.values_list("minute", flat=True).distinct()[:ERRORS]  # each holds one at least
    if not (within := [Q(at__gte=minute, at__lt=minute + MINUTE) for minute in minutes]):
        return []
    found = ApiRequest.objects.filter(reduce(or_, within), status__gte=settings.HEALTH_ERROR_FROM, poll=False)
    return list(found.order_by("-at", "-id")[:ERRORS])


def slowest(at: datetime) -> Slowest:
    counts = RequestMinute.objects.filter(minute__gt=at - DAY).order_by("-minute").values("minute")
    since, looked = None, 0
    for row in counts.annotate(answered=Sum("requests")):
        since, looked = row["minute"], looked + int(row["answered"])
        if looked >= LOOKED:
            break
    if since is None:
        return Slowest(None, 0, [])
    found = ApiRequest.objects.filter(at__gte=since, poll=False).order_by("-duration_us", "-at")
    return Slowest(since, looked, list(found[:SLOWEST]))


def stream(found: QuerySet[ApiRequest]) -> Iterator[ApiRequest]:
    """All of them, newest first, keyset page after keyset page: memory stays flat on every database."""
    found = found.order_by("-at", "-id")
    page = list(found[:STREAM])
    while page:
        yield from page
        last = page[-1]
        before = Q(at__lt=last.at) | Q(at=last.at, id__lt=last.id)
        page = list(found.filter(before, at__lte=last.at)[:STREAM]) if len(page) == STREAM else []
