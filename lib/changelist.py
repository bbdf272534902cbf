"""Read-only admin change lists for growing tables: no COUNT(*) of the whole table, no sorting without an index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.contrib.humanize.templatetags.humanize import intword
from django.core.paginator import Paginator
from django.db import connection, models
from django.http import HttpRequest

from lib import keyset
from lib.keyset import Page, PageCursor

MILLION = 1_000_000
MAX_COUNTED = 10_000  # numbered pages end here; filters reach the rows beyond


def bounded_count(rows: Any) -> int:  # noqa: ANN401 - any model's queryset
    """Count at most MAX_COUNTED + 1 rows; the extra row shows that there are more."""
    return int(rows.order_by()[: MAX_COUNTED + 1].count())


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # cannot be subscripted at run time
    @cached_property
    def count(self) -> int:
        return bounded_count(self.object_list)


class ExactFilter(admin.SimpleListFilter):
    """Filters by the exact value in the query string. Links set it; the sidebar shows it so that it can be removed."""

    def value(self) -> str | None:
        """The value without NUL characters: PostgreSQL rejects them, and no stored text contains one."""
        value = super().value()
        return value.replace("\0", "") if value else value

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        value = request.GET.get(str(self.parameter_name))
        return [(value, value)] if value else []


class _AtLeast(int):
    """An int that templates can compute with and that prints as "10,000+"."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedChangeList(ChangeList):
    """Shows "10,000+" where there are more rows than were counted."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.result_count > MAX_COUNTED:
            self.result_count = _AtLeast(MAX_COUNTED)


class KeysetChangeList(ChangeList):
    """Keyset pages with "Older" and "Newer" links: a deep page costs as much as the first. The cursor is in the query's `p`.

    Only the first page shows the number of rows.
    """

    model_admin: KeysetAdmin

    def get_results(self, request: HttpRequest) -> None:
        cursor = _parse_cursor(request.GET.get(PAGE_VAR))
        page = self._load_page(cursor)
        if cursor and page.previous is None and page.next:  # the newer rows do not fill a page
            cursor, page = None, self._load_page(None)
        self.result_list: Any = page.rows
        self.older_url, self.newer_url = self._url(page.next), self._url(page.previous)
        self.newest_url = self.get_query_string() if cursor else None
        self.show_full_result_count = self.can_show_all = self.multi_page = self.show_admin_actions = False

    @cached_property
    def result_count(self) -> int:  # type: ignore[override]  # Django sets it in the get_results that is overridden here
        """Counted on first use, because an export does not show it."""
        if self.newest_url or self.older_url is None:
            return len(self.result_list)
        counted = bounded_count(self.queryset)
        return _AtLeast(MAX_COUNTED) if counted > MAX_COUNTED else counted

    @cached_property
    def full_result_count(self) -> int | None:  # type: ignore[override]  # as above
        """None for a search, whose result count is shown beside the search box."""
        return None if self.query else self.result_count

    @cached_property
    def total(self) -> str | None:
        return None if self.newest_url or self.older_url is None else describe_row_estimate(self.model)

    def _load_page(self, cursor: PageCursor | None) -> Page:
        column = self.model_admin.time_column
        return keyset.load_page(self.queryset, time_column=column, size=self.list_per_page, cursor=cursor)

    def _url(self, cursor: PageCursor | None) -> str | None:
        return self.get_query_string({PAGE_VAR: str(cursor)}) if cursor else None


def _parse_cursor(text: str | None) -> PageCursor | None:
    """The cursor, or None (the first page) for anything else, such as a page number."""
    try:
        return PageCursor.parse(text) if text else None
    except ValueError:
        return None


def describe_row_estimate(model: type[models.Model]) -> str | None:
    """The table's row count in words, estimated from PostgreSQL's statistics; None when unknown or at most MAX_COUNTED."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [f'"{model._meta.db_table}"'])
        rows = int(cursor.fetchone()[0])
    return f"about {intword(rows) if rows >= MILLION else f'{rows:,}'}" if rows > MAX_COUNTED else None


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """A table that staff can view and only the service writes."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    actions: Sequence[str] | None = None
    show_facets = admin.ShowFacets.NEVER  # each filter's count would read the whole table

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ANN401
        return BoundedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class KeysetAdmin(ReadOnlyAdmin):
    """An ever-growing table, newest first: ordered by the datetime column `time_column`, then by id."""

    time_column: str

    def get_ordering(self, _request: HttpRequest) -> tuple[str, str]:
        return f"-{self.time_column}", "id"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ANN401
        return KeysetChangeList
