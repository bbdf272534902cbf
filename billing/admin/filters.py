"""Filters of the usage-log change list: closed ranges of time, and values that do not need a scan to be listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Lower, Trim
from django.db.models.lookups import Exact
from django.http import HttpRequest
from django.utils import timezone

from billing import log_search, reports
from billing.models import Category, Confidence, UsageLog
from lib.changelist import ExactFilter
from providers import rulebook

DAYS = {"1": "Last 24 hours", "7": "Last 7 days", "31": "Last 31 days", "366": "Last 12 months"}
DEFAULT = "31"


class TimeFilter(admin.SimpleListFilter):
    """Always a closed range: the last 31 days unless another is chosen, so that no filter reads the whole table."""

    title = "time"
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        month = _month(request.GET.get("days", ""))
        return [*DAYS.items(), ("all", "Any time"), *([(month.name, f"{month.start:%B %Y}")] if month else [])]

    def value(self) -> str:
        chosen = super().value() or DEFAULT
        return chosen if chosen in (*DAYS, "all") or _month(chosen) else DEFAULT

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - Django's own
        return islice(super().choices(changelist), 1, None)  # there is no "All": "Any time" says it

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        if self.value() == "all":
            return queryset
        if month := _month(self.value()):
            return queryset.filter(timestamp__gte=month.starts_at, timestamp__lt=month.ends_at)
        return queryset.filter(timestamp__gte=timezone.now() - timedelta(days=int(self.value())))


def _month(name: str) -> reports.Period | None:
    """A month as the dashboard's links name it, or None."""
    try:
        return reports.named_period(None, name)
    except ValueError:
        return None


class _Choice(admin.SimpleListFilter):
    """One of the API's filters, by the same name and meaning."""

    values: dict[str, str] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return list(self.values.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        value: Any = self.value()
        if value is None:
            return queryset
        meant = {"yes": True, "no": False}.get(value, value)
        return queryset.filter(log_search.FILTERS[str(self.parameter_name)](meant))


class ActualProviderFilter(_Choice):
    title = "actual provider"
    parameter_name = "actual_provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        """Those with usage in the last year, read from the platform's totals."""
        labels = rulebook.current().labels
        return [
            (slug, reports.label_of(slug, labels))
            for slug in reports.providers_since(timezone.now() - timedelta(days=366))
        ]


class CategoryFilter(_Choice):
    title = "category"
    parameter_name = "category"
    values = dict(Category.choices)


class StatusFilter(_Choice):
    title = "status"
    parameter_name = "status"
    values = {"success": "Success", "failed": "Failed"}


class PricedFilter(_Choice):
    title = "price"
    parameter_name = "priced"
    values = {"yes": "Priced", "no": "Unpriced"}


class ConfidenceFilter(_Choice):
    title = "confidence"
    parameter_name = "confidence"
    values = dict(Confidence.choices)


class VoidedFilter(_Choice):
    title = "voided"
    parameter_name = "voided"
    values = {"yes": "Voided", "no": "Not voided"}


class _Exact(ExactFilter, _Choice):
    """A value that an account's page or a chip names."""


class ModelFilter(_Exact):
    """As the totals count it, whatever its case; empty: calls that name none."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("", "(none)")] if request.GET.get("model") == "" else super().lookups(request, model_admin)

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        value = self.value()
        return queryset if value is None else queryset.filter(Exact(Lower(Trim("model_used")), value.strip().lower()))


class DeclaredFilter(_Exact):
    title = "declared provider"
    parameter_name = "provider"


class AccountFilter(_Exact):
    title = "account"
    parameter_name = "account"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        return queryset.filter(account__external_id=self.value()) if self.value() else queryset


FILTERS = (
    TimeFilter,
    ActualProviderFilter,
    CategoryFilter,
    StatusFilter,
    PricedFilter,
    ConfidenceFilter,
    VoidedFilter,
    AccountFilter,
    ModelFilter,
    DeclaredFilter,
)
