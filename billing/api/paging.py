"""What list endpoints share: the page size, the links between pages, and a strict boolean filter."""

from __future__ import annotations

import django_filters
from rest_framework.request import Request

from billing.errors import Refused

MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 50


def boolean_filter() -> django_filters.Filter:
    """Accepts only `true` or `false`: django-filter's BooleanFilter ignores invalid values."""
    choices = [("true", "true"), ("false", "false")]
    return django_filters.TypedChoiceFilter(choices=choices, coerce=lambda value: value == "true")


def page_size(query: dict[str, str]) -> int:
    text = query.get("page_size") or str(DEFAULT_PAGE_SIZE)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_PAGE_SIZE):
        raise Refused("invalid", f"Enter a page size from 1 to {MAX_PAGE_SIZE}.", "page_size")
    return int(text)


def page_link(request: Request, cursor: object) -> str | None:
    """Returns the URL of the same request from `cursor` on; None if there is no such page."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
