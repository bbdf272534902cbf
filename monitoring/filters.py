"""Filters of the request log's change list: always a closed range of time, and values that need no scan to be listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from lib.changelist import ExactFilter
from monitoring.models import ApiRequest

Requests = QuerySet[ApiRequest]
SPANS = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
DEFAULT = "24h"
STAMP = "%Y%m%dT%H%M"


class TimeFilter(admin.SimpleListFilter):
    """The last 24 hours unless another span is chosen; a link may name any other one, to the minute."""

    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        named = _between(request.GET.get("time", ""))
        between = [(request.GET["time"], f"{named[0]:%b %d %H:%M} to {named[1]:%b %d %H:%M} UTC")] if named else []
        return [*((name, label) for name, (label, _) in SPANS.items()), *between]

    def value(self) -> str:
        chosen = super().value() or DEFAULT
        return chosen if chosen in SPANS or _between(chosen) else DEFAULT

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - Django's own
        return islice(super().choices(changelist), 1, None)  # there is no "All"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        if between := _between(self.value()):
            return queryset.filter(at__gte=between[0], at__lt=between[1])
        return queryset.filter(at__gte=timezone.now() - SPANS[self.value()][1])


def between(start: datetime, end: datetime) -> str:
    """The value of `time` that means from `start` up to `end`, both to the minute."""
    return f"{start.astimezone(UTC):{STAMP}}-{end.astimezone(UTC):{STAMP}}"


def _between(value: str) -> tuple[datetime, datetime] | None:
    start, _, end = value.partition("-")
    try:
        return _time(start), _time(end)
    except ValueError:
        return None


def _time(text: str) -> datetime:
    return datetime.strptime(text, STAMP).replace(tzinfo=UTC)


class StatusFilter(admin.SimpleListFilter):
    """Ranges, and an exact status that a link names; a list of every status would take a read of the whole table."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        named = request.GET.get("status", "")
        exact = [(named, named)] if _is_status(named) else []
        return [("errors", f"Errors ({settings.HEALTH_ERROR_FROM} and above)"), *CLASSES.items(), *exact]

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        chosen = self.value() or ""
        if chosen == "errors":
            return queryset.filter(status__gte=settings.HEALTH_ERROR_FROM)
        if chosen in CLASSES:
            return queryset.filter(status__gte=int(chosen) * 100, status__lt=int(chosen) * 100 + 100)
        return queryset.filter(status=int(chosen)) if _is_status(chosen) else queryset


CLASSES = {str(leading): f"{leading}xx" for leading in range(2, 6)}


def _is_status(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


class RouteFilter(ExactFilter):
    title = "route"
    parameter_name = "route"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        return queryset.filter(route=self.value()) if self.value() else queryset


class AccountFilter(ExactFilter):
    """By the number that the account's page has in its address."""

    title = "account"
    parameter_name = "account"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        value = self.value() or ""
        if not value:
            return queryset
        known = len(value) <= MOST_DIGITS and value.isascii() and value.isdigit()
        return queryset.filter(account_id=int(value)) if known else queryset.none()


MOST_DIGITS = 18  # of an id, so that it fits 64 bits
FILTERS = (TimeFilter, StatusFilter, RouteFilter, AccountFilter, "poll")
