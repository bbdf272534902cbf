"""Admin change lists over tables that grow: no COUNT(*) of everything, no sorting by what no index serves, never edited."""

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
from lib.keyset import Mark, Page

MILLION = 1_000_000
MOST = 10_000  # how far the pages go; what lies beyond is found by filters


def bounded_count(rows: Any) -> int:  # noqa: ANN401 - any model's queryset
    """No further than MOST rows, and one more to know that there are more."""
    return int(rows.order_by()[: MOST + 1].count())


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # cannot be subscripted at run time
    @cached_property
    def count(self) -> int:
        return bounded_count(self.object_list)


class ExactFilter(admin.SimpleListFilter):
    """A value that the query names: set by links, shown so that it can be removed."""

    def value(self) -> str | None:
        """Without NUL, which PostgreSQL refuses: no stored text has one."""
        value = super().value()
        return value.replace("\0", "") if value else value

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        value = request.GET.get(str(self.parameter_name))
        return [(value, value)] if value else []


class _More(int):
    """A number for the templates that count with it, and "10,000+" where it is shown."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedChangeList(ChangeList):
    """Says "10,000+" where there are more than were counted."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.result_count > MOST:
            self.result_count = _More(MOST)


class KeysetChangeList(ChangeList):
    """Pages by key, "Older" and "Newer": a deep page costs what the first costs. The address's `p` is the place.

    Only the first page says how many there are.
    """

    model_admin: KeysetAdmin

    def get_results(self, request: HttpRequest) -> None:
        mark = _mark(request.GET.get(PAGE_VAR))
        page = self._page(mark)
        if mark and page.previous is None and page.next:  # what is newer does not fill a page
            mark, page = None, self._page(None)
        self.result_list: Any = page.rows
        self.older_url, self.newer_url = self._url(page.next), self._url(page.previous)
        self.newest_url = self.get_query_string() if mark else None
        self.show_full_result_count = self.can_show_all = self.multi_page = self.show_admin_actions = False

    @cached_property
    def result_count(self) -> int:  # type: ignore[override]  # Django writes it in the get_results that this one replaces
        """Counted when the page shows it: an export does not."""
        if self.newest_url or self.older_url is None:
            return len(self.result_list)
        counted = bounded_count(self.queryset)
        return _More(MOST) if counted > MOST else counted

    @cached_property
    def full_result_count(self) -> int | None:  # type: ignore[override]  # as above
        """A search tells its results beside the box as well."""
        return None if self.query else self.result_count

    @cached_property
    def total(self) -> str | None:
        return None if self.newest_url or self.older_url is None else estimated(self.model)

    def _page(self, mark: Mark | None) -> Page:
        return keyset.page(self.queryset, by=self.model_admin.by, size=self.list_per_page, mark=mark)

    def _url(self, mark: Mark | None) -> str | None:
        return self.get_query_string({PAGE_VAR: str(mark)}) if mark else None


def _mark(text: str | None) -> Mark | None:
    """What is no place in the list, such as the number of a page, is its beginning."""
    try:
        return Mark.parse(text) if text else None
    except ValueError:
        return None


def estimated(model: type[models.Model]) -> str | None:
    """How many rows the whole table has, in words, as PostgreSQL's statistics say; None where nobody knows, or few."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [f'"{model._meta.db_table}"'])
        rows = int(cursor.fetchone()[0])
    return f"about {intword(rows) if rows >= MILLION else f'{rows:,}'}" if rows > MOST else None


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """A table that is looked at, and written by the service alone."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    actions: Sequence[str] | None = None
    show_facets = admin.ShowFacets.NEVER  # a count for every filter would read the table once for each

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ANN401
        return BoundedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class KeysetAdmin(ReadOnlyAdmin):
    """A table that grows without end, newest first: by the time in column `by`, and by id."""

    by: str

    def get_ordering(self, _request: HttpRequest) -> tuple[str, str]:
        return f"-{self.by}", "id"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ANN401
        return KeysetChangeList
