"""The request log and the jobs for operators: to read only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from lib import changelist
from monitoring.models import ApiRequest, JobRun


class StatusFilter(admin.SimpleListFilter):
    """Ranges instead of a list of every status, which would take a read of the whole table."""

    title = "status"
    parameter_name = "status"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [(str(leading), f"{leading}xx") for leading in range(2, 6)]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[ApiRequest]) -> QuerySet[ApiRequest]:
        chosen = self.value()
        if chosen not in {"2", "3", "4", "5"}:
            return queryset
        return queryset.filter(status__gte=int(chosen) * 100, status__lt=int(chosen) * 100 + 100)


@admin.register(ApiRequest)
class ApiRequestAdmin(changelist.ReadOnlyAdmin):
    list_display = ["at", "method", "route", "status", "duration", "account_id", "key_id", "client_address", "poll"]
    list_filter = [StatusFilter, "poll"]
    ordering = ["-at", "id"]

    @admin.display(description="duration (ms)")
    def duration(self, request_row: ApiRequest) -> str:
        return f"{request_row.duration_us / 1000:.1f}"


@admin.register(JobRun)
class JobRunAdmin(changelist.ReadOnlyAdmin):
    """`run_jobs` writes it; a job without a row has not been seen by any process yet."""

    empty_state = "No job was run yet: start manage.py run_jobs --loop beside the server."
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

    @admin.display(description="last run")
    def ended(self, job: JobRun) -> str:
        badge = "unknown" if not job.outcome else "ok" if job.outcome == JobRun.Outcome.DONE else "critical"
        return format_html('<span class="badge {}">{}</span>', badge, job.get_outcome_display() or "not run yet")
