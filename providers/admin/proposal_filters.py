"""Filters of the price proposal list: state (open by default) and flags."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from providers import price_sync
from providers.admin import proposal_text
from providers.models import PriceProposal

ALL_STATES = "all"


class StateFilter(admin.SimpleListFilter):
    """Shows open proposals by default."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:  # noqa: ANN401 - Django's own
        return [*PriceProposal.State.choices, (ALL_STATES, "any state")]

    def value(self) -> str:
        state = super().value()
        return state if state in (*PriceProposal.State.values, ALL_STATES) else PriceProposal.State.OPEN.value

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401
        return islice(super().choices(changelist), 1, None)  # without Django's "All": "any state" replaces it

    def queryset(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> QuerySet[PriceProposal]:
        return queryset if self.value() == ALL_STATES else queryset.filter(state=self.value())


class FlagFilter(admin.SimpleListFilter):
    title = "flag"
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [*proposal_text.FLAGS.items(), ("any", "any flag"), ("none", "no flag")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> QuerySet[PriceProposal]:
        flag = self.value()
        if flag == "any":
            return queryset.filter(price_sync.FLAGGED)
        if flag == "none":
            return queryset.exclude(price_sync.FLAGGED)
        return queryset.filter(price_sync.FLAGS[flag]) if flag in price_sync.FLAGS else queryset


FILTERS: tuple[Any, ...] = (StateFilter, "kind", "source", FlagFilter, "provider")
