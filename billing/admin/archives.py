"""Archives of usage logs, to look at: which periods are in files, where, and what holds one up."""

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
    "trouble": ("critical", "held up"),
    "begun": ("plain", "to be written"),
    "exported": ("plain", "in a file, and still in the log"),
    "deleting": ("plain", "leaving the log"),
    "deleted": ("ok", "archived"),
}

SHOWN = 34  # characters of a trouble in the list


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [("trouble", "Held up"), ("going", "Not finished"), ("deleted", "Archived")]

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
        "No usage log is archived. With the setting KEEP_LOGS_DAYS, those of closed periods go into files that long after "
        "their statement; docs/operations.md tells how."
    )
    list_display = ("name", "account", "status", "why", "logs_in_file", "shown_size")
    list_filter = (StateFilter, AccountFilter)
    list_select_related = ("account",)
    search_fields = ("account__external_id__startswith",)
    fields = (
        *("account", "name", "status", "trouble", "file", "logs_in_file", "left", "shown_size", "sha256"),
        *("begun_at", "verified_at", "finished_at"),
    )

    @admin.display(description="Period")
    def name(self, one: Archive) -> str:
        return f"{one.period:%Y-%m}"

    @admin.display(description="State")
    def status(self, one: Archive) -> str:
        return format_html('<span class="badge {}">{}</span>', *STATES[one.state])

    @admin.display(description="Held up by")
    def why(self, one: Archive) -> str:
        return (
            format_html('<span title="{}">{}</span>', one.trouble, Truncator(one.trouble).chars(SHOWN))
            if one.trouble
            else "-"
        )

    @admin.display(description="Calls in file")
    def logs_in_file(self, one: Archive) -> str:
        return _number(one.logs)

    @admin.display(description="Of these still in the log")
    def left(self, one: Archive) -> str:
        return _number(one.logs - one.deleted)

    @admin.display(description="Size")
    def shown_size(self, one: Archive) -> str:
        return filesizeformat(one.size) if one.size else "-"

    @admin.display(description="File")
    def file(self, one: Archive) -> str:
        return str(archive_file.path_of(one))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ANN401 - Django's own types
        return self.fields


def _number(count: int) -> str:
    return format_html('<span class="num">{}</span>', f"{count:,}")
