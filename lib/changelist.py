"""Admin change lists over tables that grow: no COUNT(*) of everything, no sorting by what no index serves, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest

MOST = 10_000  # how far the pages go; what lies beyond is found by filters


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Counts no further than MOST rows, and one more to know that there are more."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST + 1].count())


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
