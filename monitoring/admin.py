"""Read-only admin pages of the request log and the jobs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from lib import changelist, csv_stream
from monitoring import filters, leases, request_log
from monitoring.models import ApiRequest, JobRun

CSV_COLUMNS = (
    *("id", "at", "method", "route", "status", "duration_us", "request_bytes", "response_bytes"),
    *("account_id", "key_id", "client_address", "user_agent", "poll"),
)


@admin.register(ApiRequest)
class ApiRequestAdmin(changelist.KeysetAdmin):
    empty_state = "No requests in the last 24 hours. If the service is in use, check that REQUEST_LOG is on."
    list_display = ("time", "outcome", "request_line", "duration", "account", "client_address")
    list_display_links = ("time",)
    list_filter = filters.FILTERS
    time_column = "at"
    search_fields = ("route",)  # shows the search box; get_search_results does the search
    search_help_text = "Search by the start of a route, such as /api/v1/usage/, or by exact client address"
    change_list_template = "admin/monitoring/apirequest/change_list.html"

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(self.export)
        return [path("export/", export, name="monitoring_apirequest_export"), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiRequest], search_term: str
    ) -> tuple[QuerySet[ApiRequest], bool]:
        term = search_term.strip()
        matches = Q(route__startswith=term) | Q(client_address=term)
        return (queryset.filter(matches) if term else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        query = request.GET.urlencode()
        export = reverse("admin:monitoring_apirequest_export") + (f"?{query}" if query else "")
        return super().changelist_view(request, {**(extra_context or {}), "export_url": export})

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered requests as CSV."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        requests = request_log.stream(self.get_changelist_instance(request).get_queryset(request))
        rows = ([getattr(request_row, column) for column in CSV_COLUMNS] for request_row in requests)
        return csv_stream.response("requests.csv", CSV_COLUMNS, rows)

    @admin.display(description="Time (UTC)")
    def time(self, row: ApiRequest) -> str:
        return f"{row.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Request")
    def request_line(self, row: ApiRequest) -> str:
        link = format_html('{} <a href="?{}">{}</a>', row.method, urlencode({"route": row.route}), row.route)
        return format_html("{} (poll)", link) if row.poll else link

    @admin.display(description="Status")
    def outcome(self, row: ApiRequest) -> str:
        badge = "critical" if row.status >= 500 else "warning" if row.status >= 400 else "ok"
        return format_html('<span class="badge {}">{}</span>', badge, row.status)

    @admin.display(description="Duration")
    def duration(self, row: ApiRequest) -> str:
        return format_html('<span class="num">{} ms</span>', f"{row.duration_ms:,.1f}")

    @admin.display(description="Account")
    def account(self, row: ApiRequest) -> str:
        """The account's primary key: monitoring does not import billing's models."""
        if row.account_id is None:
            return "-"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:billing_account_change", args=[row.account_id]), row.account_id
        )


@admin.register(JobRun)
class JobRunAdmin(changelist.ReadOnlyAdmin):
    """`run_jobs` writes these rows; a job without a row has never run."""

    empty_state = "No job has run yet. Start manage.py run_jobs --loop alongside the server."
    actions = ("run_now",)
    list_display = [
        "name",
        "ended",
        "summary",
        "started_at",
        "finished_at",
        "due_at",
        "leased_until",
        "runs",
        "failures",
    ]
    ordering = ["name"]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitoring.change_jobrun")

    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> None:
        """Makes the jobs due. A request is no place for work that may take hours: `run_jobs` starts them within seconds."""
        started, running = [], []
        for job in queryset.order_by("name"):
            if leases.make_due(job.name, timezone.now()):
                self.log_change(request, job, "Run now.")
                started.append(job.name)
            else:
                running.append(job.name)
        if started:
            self.message_user(
                request, f"Due now: {', '.join(started)}. A process with run_jobs starts it within seconds."
            )
        if running:
            self.message_user(request, f"Already running: {', '.join(running)}.", messages.WARNING)

    @admin.display(description="last run")
    def ended(self, job: JobRun) -> str:
        badge = "unknown" if not job.outcome else "ok" if job.outcome == JobRun.Outcome.DONE else "critical"
        return format_html('<span class="badge {}">{}</span>', badge, job.get_outcome_display() or "not run yet")
