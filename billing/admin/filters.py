"""Filters of the usage-log change list: bounded time ranges, and choices that are listed without a table scan."""

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

from billing.accounts import usage_periods
from billing.ledger import log_search
from billing.models import Account, Category, Confidence, UnpricedReason, UsageLog, UsageState
from billing.reports import reports
from lib import ids, periods
from lib.changelist import ExactFilter
from lib.periods import CALENDAR_UTC
from providers import rulebook

DAY_SPANS = {"1": "Last 24 hours", "7": "Last 7 days", "31": "Last 31 days"}
LONG_SPANS = {"366": "Last 12 months", "all": "Any time"}
DEFAULT_SPAN = "31"
MAX_MONTHS = 12  # listed by name when longer spans are not offered


class TimeFilter(admin.SimpleListFilter):
    """Time range, by default the last 31 days.

    With an unindexed filter or search across all accounts, a range is at most a month: a rare value would scan the table.
    """

    title = "time"
    parameter_name = "days"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:  # noqa: ANN401
        unindexed = {name for name in UNINDEXED & request.GET.keys() if name != "q" or request.GET["q"].strip()}
        self.bounded = bool(unindexed) and not AccountFilter.requested(request)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        month = _month(request.GET.get("days", ""))
        months = _last_months() if self.bounded else []
        if month and month not in months:
            months.append(month)
        long_spans = {} if self.bounded else LONG_SPANS
        return [*DAY_SPANS.items(), *long_spans.items(), *((month.name, f"{month.start:%B %Y}") for month in months)]

    def value(self) -> str:
        span = super().value() or DEFAULT_SPAN
        return span if span in dict(self.lookup_choices) else DEFAULT_SPAN

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - Django's own
        return islice(super().choices(changelist), 1, None)  # without Django's "All": "Any time" replaces it

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        if self.value() == "all":
            return queryset
        if month := _month(self.value()):
            return queryset.filter(timestamp__gte=month.starts_at, timestamp__lt=month.ends_at)
        return queryset.filter(timestamp__gte=timezone.now() - timedelta(days=int(self.value())))


def _month(name: str) -> usage_periods.Period | None:
    """The month of a name such as "2026-11"; None for any other text."""
    try:
        return usage_periods.named_period(None, name)
    except ValueError:
        return None


def _last_months() -> list[usage_periods.Period]:
    months = [usage_periods.current_period(None, timezone.now())]
    while len(months) < MAX_MONTHS:
        months.append(
            usage_periods.period_from(CALENDAR_UTC, periods.previous_period_start(CALENDAR_UTC, months[-1].start))
        )
    return months


class _Choice(admin.SimpleListFilter):
    """A filter with the name and the meaning of an API filter."""

    values: dict[str, str] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return list(self.values.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        value: Any = self.value()
        if value is None:
            return queryset
        argument = {"yes": True, "no": False}.get(value, value)
        return queryset.filter(log_search.FILTERS[str(self.parameter_name)](argument))


class ActualProviderFilter(_Choice):
    title = "actual provider"
    parameter_name = "actual_provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        """The providers with usage in the last 31 days, from the rollups, and the selected one."""
        labels, selected = rulebook.current().labels, request.GET.get("actual_provider")
        slugs = {
            *reports.providers_since(None, (timezone.now() - log_search.MAX_SPAN).date()),
            *([selected] if selected else []),
        }
        return [(slug, rulebook.provider_label(slug, labels)) for slug in sorted(slugs)]


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


class EstimatedFilter(_Choice):
    title = "estimate"
    parameter_name = "estimated"
    values = {"yes": "Estimated", "no": "Not estimated"}


class UsageStateFilter(_Choice):
    title = "usage"
    parameter_name = "usage_state"
    values = dict(UsageState.choices)


class UnpricedReasonFilter(_Choice):
    title = "reason without a price"
    parameter_name = "unpriced_reason"
    values = {value: label.capitalize() for value, label in UnpricedReason.choices}


class ConfidenceFilter(_Choice):
    title = "confidence"
    parameter_name = "confidence"
    values = dict(Confidence.choices)


class VoidedFilter(_Choice):
    title = "void status"
    parameter_name = "voided"
    values = {"yes": "Voided", "no": "Not voided"}


class _Exact(ExactFilter, _Choice):
    """An exact value, set by a link."""


class ModelFilter(_Exact):
    """Matches a model as the rollups do, ignoring case; an empty value matches calls without a model."""

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

    @classmethod
    def requested(cls, request: HttpRequest) -> str:
        """The external id in the address, or ""."""
        return request.GET.get(cls.parameter_name, "").replace("\0", "")

    @classmethod
    def account_id(cls, request: HttpRequest) -> int | None:
        """The primary key of the requested account: 0 if it does not exist, None if none is requested."""
        external_id = cls.requested(request)
        accounts = Account.objects.filter(external_key=ids.lookup_key(external_id)).values_list("pk", flat=True)
        return (accounts.first() or 0) if external_id else None

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        """Filters by primary key: filtered by external id, PostgreSQL would scan the logs of all accounts."""
        account_id = self.account_id(request)
        return queryset if account_id is None else queryset.filter(account_id=account_id)


FILTERS = (
    TimeFilter,
    ActualProviderFilter,
    CategoryFilter,
    StatusFilter,
    PricedFilter,
    EstimatedFilter,
    UsageStateFilter,
    UnpricedReasonFilter,
    ConfidenceFilter,
    VoidedFilter,
    AccountFilter,
    ModelFilter,
    DeclaredFilter,
)
# Query parameters that no index serves, unless an account is chosen.
UNINDEXED = {"q", *(str(item.parameter_name) for item in FILTERS if item not in (TimeFilter, AccountFilter))}
