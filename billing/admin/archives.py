"""Archives of usage logs, read-only: archived periods, their files, and errors."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.text import Truncator

from billing.admin.filters import AccountFilter
from billing.archive import archive_file
from billing.models import Archive
from lib import changelist

STATES = {
    "failed": ("critical", "failed"),
    "pending": ("plain", "pending"),
    "exported": ("plain", "exported"),
    "deleting": ("plain", "deleting"),
    "deleted": ("ok", "deleted"),
}

MAX_ERROR_LENGTH = 34  # characters of an error in the list


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [("trouble", "Failed"), ("going", "Not finished"), ("deleted", "Deleted")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Archive]) -> QuerySet[Archive]:
        match self.value():
            case "trouble":
                return queryset.exclude(trouble="")
            case "going":
                return queryset.filter(finished_at=None)
            case "deleted":
                return queryset.exclude(finished_at=None)
        return queryset


@admin.register(Archive)
class ArchiveAdmin(changelist.ReadOnlyAdmin):
    empty_state = (
        "No archives yet. Set KEEP_LOGS_DAYS to move usage logs into files that many days after their period was closed; "
        "see docs/operations.md."
    )
    list_display = ("name", "account", "status", "error", "logs_in_file", "shown_size")
    list_filter = (StateFilter, AccountFilter)
    list_select_related = ("account",)
    search_fields = ("account__external_id__startswith",)
    fields = (
        *("account", "name", "status", "trouble", "file", "logs_in_file", "left", "shown_size", "sha256"),
        *("begun_at", "verified_at", "finished_at"),
    )

    @admin.display(description="Period")
    def name(self, archive: Archive) -> str:
        return f"{archive.period:%Y-%m}"

    @admin.display(description="State")
    def status(self, archive: Archive) -> str:
        return format_html('<span class="badge {}">{}</span>', *STATES[archive.state])

    @admin.display(description="Error")
    def error(self, archive: Archive) -> str:
        return (
            format_html(
                '<span title="{}">{}</span>', archive.trouble, Truncator(archive.trouble).chars(MAX_ERROR_LENGTH)
            )
            if archive.trouble
            else "-"
        )

    @admin.display(description="Calls in file")
    def logs_in_file(self, archive: Archive) -> str:
        return _format_count(archive.logs)

    @admin.display(description="Calls still in the database")
    def left(self, archive: Archive) -> str:
        return _format_count(archive.logs - archive.deleted)

    @admin.display(description="Size")
    def shown_size(self, archive: Archive) -> str:
        return filesizeformat(archive.size) if archive.size else "-"

    @admin.display(description="File")
    def file(self, archive: Archive) -> str:
        return str(archive_file.archive_path(archive))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ANN401 - Django's own types
        return self.fields


def _format_count(count: int) -> str:
    return format_html('<span class="num">{}</span>', f"{count:,}")
