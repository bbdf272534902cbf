"""Usage logs, read-only: the change list with filters and CSV export, and a log's page with its charge explained."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html

from billing.accounts import accounts
from billing.admin import log_page, resolve_page
from billing.admin.filters import FILTERS, AccountFilter
from billing.api import logs as log_api
from billing.archive import archived
from billing.ledger import log_search
from billing.models import Category, UsageLog
from lib import changelist, money
from providers import rulebook


@admin.register(UsageLog)
class UsageLogAdmin(changelist.KeysetAdmin):
    empty_state = "No usage logs in the last 31 days. Choose a longer time, or send a call to the API."
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
    time_column = "timestamp"
    search_fields = ("event_id",)  # shows the search box; get_search_results does the search
    search_help_text = "Search by exact event id or log id, or by the start of a model name"
    change_list_template = "admin/billing/usagelog/change_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("export/", view(self.export), name="billing_usagelog_export"),
            path("<uuid:log_id>/void/", view(self.correct), name="billing_usagelog_void"),
            path("<uuid:log_id>/resolve/", view(self.resolve), name="billing_usagelog_resolve"),
            path("<uuid:log_id>/revert/<uuid:adjustment_id>/", view(self.correct), name="billing_usagelog_revert"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageLog], search_term: str
    ) -> tuple[QuerySet[UsageLog], bool]:
        term = search_term.strip()
        if term:
            queryset = queryset.filter(log_search.text_filter(term, AccountFilter.account_id(request)))
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.labels = rulebook.current().labels
        query = request.GET.urlencode()
        export = reverse("admin:billing_usagelog_export") + (f"?{query}" if query else "")
        account = accounts.get(external_id) if (external_id := AccountFilter.requested(request)) else None
        extra = {
            "export_url": export,
            "title": "Usage logs",
            "archived": archived.note(account) if account else "",
        }
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered logs, as the API's CSV."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        logs = self.get_changelist_instance(request).get_queryset(request)
        return log_api.csv_response(logs)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        log = self.get_object(request, object_id)
        extra = log_page.context_for(request, log) if log else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def correct(self, request: HttpRequest, **ids: UUID) -> HttpResponse:
        return log_page.correct(request, self.admin_site.each_context(request), **ids)

    def resolve(self, request: HttpRequest, log_id: UUID) -> HttpResponse:
        return resolve_page.resolve(request, self.admin_site.each_context(request), log_id)

    @admin.display(description="Time (UTC)")
    def time(self, log: UsageLog) -> str:
        return f"{log.timestamp:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Provider")
    def served_by_provider(self, log: UsageLog) -> str:
        label = rulebook.provider_label(log.display_provider, self.labels)
        if log.provider.lower() == log.display_provider:
            return format_html("<strong>{}</strong>", label)
        return format_html('<strong>{}</strong> <span class="declared">declared {}</span>', label, log.provider)

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
            return format_html('<span class="unpriced">{}</span>', "voided")
        if not log.is_priced:
            reason = log.get_unpriced_reason_display() if log.unpriced_reason else ""
            return format_html('<span class="unpriced">{}</span> <span class="declared">{}</span>', "unpriced", reason)
        exact = money.exact_usd(log.effective_nano)
        cost = format_html('<span class="num" title="${}">{}</span>', exact, money.format_usd(log.effective_nano))
        return format_html('{}<br><span class="unpriced">{}</span>', cost, "estimated") if log.is_estimated else cost

    @admin.display(description="Status")
    def outcome(self, log: UsageLog) -> str:
        badge, label = ("critical", "failed") if log.failed else ("ok", "success")
        return format_html('<span class="badge {}">{} {}</span>', badge, log.status_code, label)

    @admin.display(description="Response time")
    def response_time(self, log: UsageLog) -> str:
        return format_html('<span class="num">{} ms</span>', f"{log.response_time_ms:,}")
