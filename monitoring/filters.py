"""Filters of the request log's change list: a bounded time range, and choices that are listed without a table scan."""

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
DEFAULT_SPAN = "24h"
TIME_FORMAT = "%Y%m%dT%H%M"


class TimeFilter(admin.SimpleListFilter):
    """Time range, by default the last 24 hours; a link may set any range, to the minute."""

    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        custom = _parse_range(request.GET.get("time", ""))
        choice = [(request.GET["time"], f"{custom[0]:%b %d %H:%M} to {custom[1]:%b %d %H:%M} UTC")] if custom else []
        return [*((name, label) for name, (label, _) in SPANS.items()), *choice]

    def value(self) -> str:
        span = super().value() or DEFAULT_SPAN
        return span if span in SPANS or _parse_range(span) else DEFAULT_SPAN

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - Django's own
        return islice(super().choices(changelist), 1, None)  # without Django's "All"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        if custom := _parse_range(self.value()):
            return queryset.filter(at__gte=custom[0], at__lt=custom[1])
        return queryset.filter(at__gte=timezone.now() - SPANS[self.value()][1])


def format_range(start: datetime, end: datetime) -> str:
    """The value of the `time` parameter for the range from `start` up to `end`, to the minute."""
    return f"{start.astimezone(UTC):{TIME_FORMAT}}-{end.astimezone(UTC):{TIME_FORMAT}}"


def _parse_range(value: str) -> tuple[datetime, datetime] | None:
    start, _, end = value.partition("-")
    try:
        return _parse_time(start), _parse_time(end)
    except ValueError:
        return None


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


class StatusFilter(admin.SimpleListFilter):
    """Status classes, and an exact status set by a link; listing every status would scan the table."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        status = request.GET.get("status", "")
        exact = [(status, status)] if _is_status(status) else []
        return [("errors", f"Errors ({settings.HEALTH_ERROR_FROM} and above)"), *STATUS_CLASSES.items(), *exact]

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        status = self.value() or ""
        if status == "errors":
            return queryset.filter(status__gte=settings.HEALTH_ERROR_FROM)
        if status in STATUS_CLASSES:
            return queryset.filter(status__gte=int(status) * 100, status__lt=int(status) * 100 + 100)
        return queryset.filter(status=int(status)) if _is_status(status) else queryset


STATUS_CLASSES = {str(leading): f"{leading}xx" for leading in range(2, 6)}


def _is_status(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


class RouteFilter(ExactFilter):
    title = "route"
    parameter_name = "route"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        return queryset.filter(route=self.value()) if self.value() else queryset


class AccountFilter(ExactFilter):
    """Filters by the account's primary key."""

    title = "account"
    parameter_name = "account"

    def queryset(self, _request: HttpRequest, queryset: Requests) -> Requests:
        value = self.value() or ""
        if not value:
            return queryset
        is_id = len(value) <= MAX_ID_DIGITS and value.isascii() and value.isdigit()
        return queryset.filter(account_id=int(value)) if is_id else queryset.none()


MAX_ID_DIGITS = 18  # always fits 64 bits
FILTERS = (TimeFilter, StatusFilter, RouteFilter, AccountFilter, "poll")
