"""Filters of the list of price proposals: what is open unless another state is chosen, and the flags."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from providers import price_sync
from providers.admin import proposal_words as words
from providers.models import PriceProposal

EVERY = "all"


class StateFilter(admin.SimpleListFilter):
    """Open ones are the work that is left; the others are its history."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:  # noqa: ANN401 - Django's own
        return [*PriceProposal.State.choices, (EVERY, "any state")]

    def value(self) -> str:
        chosen = super().value()
        return chosen if chosen in (*PriceProposal.State.values, EVERY) else PriceProposal.State.OPEN.value

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401
        return islice(super().choices(changelist), 1, None)  # there is no "All": "any state" says it

    def queryset(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> QuerySet[PriceProposal]:
        return queryset if self.value() == EVERY else queryset.filter(state=self.value())


class FlagFilter(admin.SimpleListFilter):
    title = "flag"
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [*words.FLAGS.items(), ("any", "any flag"), ("none", "no flag")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> QuerySet[PriceProposal]:
        chosen = self.value()
        if chosen == "any":
            return queryset.filter(price_sync.FLAGGED)
        if chosen == "none":
            return queryset.exclude(price_sync.FLAGGED)
        return queryset.filter(**{chosen: True}) if chosen in dict(self.lookup_choices) else queryset


FILTERS: tuple[Any, ...] = (StateFilter, "kind", "source", FlagFilter, "provider")
