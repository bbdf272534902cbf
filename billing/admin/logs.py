"""Usage logs, to look at: the change list with its filters and CSV, and a log's page that explains its charge."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html

from billing.accounts import accounts
from billing.admin import log_page
from billing.admin.filters import FILTERS, AccountFilter
from billing.api import logs as log_api
from billing.archive import archived
from billing.ledger import log_search
from billing.models import Category, UsageLog
from lib import changelist, money
from providers import rulebook


@admin.register(UsageLog)
class UsageLogAdmin(changelist.KeysetAdmin):
    list_display = (
        "time",
        "account",
        "served_by_provider",
        "model_name",
        "cost",
        "outcome",
        "tokens",
        "kind",
        "response_time",
        "endpoint",
    )
    list_display_links = ("time",)
    list_filter = FILTERS
    list_select_related = ("account",)
    by = "timestamp"
    search_fields = ("event_id",)  # shows the box; get_search_results says what is looked for
    search_help_text = "An exact event id or log id, or the start of a model's name"
    change_list_template = "admin/billing/usagelog/change_list.html"

    def get_urls(self) -> list[Any]:
        own = self.admin_site.admin_view
        return [
            path("export/", own(self.export), name="billing_usagelog_export"),
            path("<uuid:log_id>/void/", own(self.correct), name="billing_usagelog_void"),
            path("<uuid:log_id>/revert/<uuid:adjustment_id>/", own(self.correct), name="billing_usagelog_revert"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageLog], search_term: str
    ) -> tuple[QuerySet[UsageLog], bool]:
        term = search_term.strip()
        if term:
            queryset = queryset.filter(log_search.text(term, AccountFilter.found(request)))
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.labels = rulebook.current().labels
        query = request.GET.urlencode()
        export = reverse("admin:billing_usagelog_export") + (f"?{query}" if query else "")
        account = accounts.get(wanted) if (wanted := AccountFilter.wanted(request)) else None
        extra = {"export_url": export, "title": "Usage logs", "archived": archived.told(account) if account else ""}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The logs that the page's filters show, as the API's CSV."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        found = self.get_changelist_instance(request).get_queryset(request)
        return log_api.csv_of(found)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        log = self.get_object(request, object_id)
        extra = log_page.page(request, log) if log else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def correct(self, request: HttpRequest, **ids: UUID) -> HttpResponse:
        return log_page.correct(request, self.admin_site.each_context(request), **ids)

    @admin.display(description="Time (UTC)")
    def time(self, log: UsageLog) -> str:
        return f"{log.timestamp:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Provider")
    def served_by_provider(self, log: UsageLog) -> str:
        shown = self.labels.get(log.shown_provider, log.shown_provider)
        if log.provider.lower() == log.shown_provider:
            return format_html("<strong>{}</strong>", shown)
        return format_html('<strong>{}</strong> <span class="declared">declared {}</span>', shown, log.provider)

    @admin.display(description="Model")
    def model_name(self, log: UsageLog) -> str:
        return log.model_used or "-"

    @admin.display(description="Category")
    def kind(self, log: UsageLog) -> str:
        return str(Category(log.category).label)

    @admin.display(description="Tokens")
    def tokens(self, log: UsageLog) -> str:
        return format_html('<span class="num">{}</span>', f"{log.tokens_total:,}")

    @admin.display(description="Cost")
    def cost(self, log: UsageLog) -> str:
        if log.voided_at:
            return format_html('<span class="unpriced">{}</span>', "void")
        if not log.is_priced:
            return format_html('<span class="unpriced">{}</span>', "unpriced")
        exact = money.exact_usd(log.effective_nano)
        return format_html('<span class="num" title="${}">{}</span>', exact, money.format_usd(log.effective_nano))

    @admin.display(description="Status")
    def outcome(self, log: UsageLog) -> str:
        badge, word = ("critical", "failed") if log.failed else ("ok", "success")
        return format_html('<span class="badge {}">{} {}</span>', badge, log.status_code, word)

    @admin.display(description="Response time")
    def response_time(self, log: UsageLog) -> str:
        return format_html('<span class="num">{} ms</span>', f"{log.response_time_ms:,}")
