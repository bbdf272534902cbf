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

from billing.accounts import usage_periods
from billing.ledger import log_search
from billing.models import Account, Category, Confidence, UsageLog
from billing.reports import reports
from lib import ids, periods
from lib.changelist import ExactFilter
from lib.periods import CALENDAR_UTC
from providers import rulebook

DAYS = {"1": "Last 24 hours", "7": "Last 7 days", "31": "Last 31 days"}
LONGER = {"366": "Last 12 months", "all": "Any time"}
DEFAULT = "31"
MONTHS = 12  # that are offered by name where a longer span is not


class TimeFilter(admin.SimpleListFilter):
    """The last 31 days unless another span is chosen. Across all accounts, with a filter or search that no index serves, a
    span is no longer than a month: else a rare value would be looked for in the whole table."""

    title = "time"
    parameter_name = "days"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:  # noqa: ANN401
        asked = {name for name in UNSERVED & request.GET.keys() if name != "q" or request.GET["q"].strip()}
        self.bounded = bool(asked) and not AccountFilter.wanted(request)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        month = _month(request.GET.get("days", ""))
        months = _last_months() if self.bounded else []
        if month and month not in months:
            months.append(month)
        longer = {} if self.bounded else LONGER
        return [*DAYS.items(), *longer.items(), *((month.name, f"{month.start:%B %Y}") for month in months)]

    def value(self) -> str:
        chosen = super().value() or DEFAULT
        return chosen if chosen in dict(self.lookup_choices) else DEFAULT

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - Django's own
        return islice(super().choices(changelist), 1, None)  # there is no "All": "Any time" says it

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        if self.value() == "all":
            return queryset
        if month := _month(self.value()):
            return queryset.filter(timestamp__gte=month.starts_at, timestamp__lt=month.ends_at)
        return queryset.filter(timestamp__gte=timezone.now() - timedelta(days=int(self.value())))


def _month(name: str) -> usage_periods.Period | None:
    """A month as the dashboard's links name it, or None."""
    try:
        return usage_periods.named_period(None, name)
    except ValueError:
        return None


def _last_months() -> list[usage_periods.Period]:
    months = [usage_periods.current_period(None, timezone.now())]
    while len(months) < MONTHS:
        months.append(usage_periods.period_from(CALENDAR_UTC, periods.previous_start(CALENDAR_UTC, months[-1].start)))
    return months


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
        """Those with usage in the last 31 days, read from the platform's totals, and the one that is chosen."""
        labels, chosen = rulebook.current().labels, request.GET.get("actual_provider")
        slugs = {
            *reports.providers_since(None, (timezone.now() - log_search.SPAN).date()),
            *([chosen] if chosen else []),
        }
        return [(slug, reports.label_of(slug, labels)) for slug in sorted(slugs)]


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

    @classmethod
    def wanted(cls, request: HttpRequest) -> str:
        return request.GET.get(cls.parameter_name, "").replace("\0", "")

    @classmethod
    def found(cls, request: HttpRequest) -> int | None:
        """The account's number, 0 where there is no such account, None where none is asked for."""
        wanted = cls.wanted(request)
        accounts = Account.objects.filter(external_key=ids.key_of(wanted)).values_list("pk", flat=True)
        return (accounts.first() or 0) if wanted else None

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        """By its number, looked up first: with the name in the query, PostgreSQL would walk through everybody's logs."""
        account_id = self.found(request)
        return queryset if account_id is None else queryset.filter(account_id=account_id)


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
# By their names in the address: what the index by time does not find, without an account.
UNSERVED = {"q", *(str(one.parameter_name) for one in FILTERS if one not in (TimeFilter, AccountFilter))}
