"""What lists have in common: how many rows a page holds, the link to the next one, and a filter that says yes or no."""

from __future__ import annotations

import django_filters
from rest_framework.request import Request

from billing.errors import Refused

MOST = 500
DEFAULT = 50


def yes_or_no() -> django_filters.Filter:
    """`true` or `false`, and nothing else: django-filter's own BooleanFilter ignores what it does not understand."""
    words = [("true", "true"), ("false", "false")]
    return django_filters.TypedChoiceFilter(choices=words, coerce=lambda word: word == "true")


def size(query: dict[str, str]) -> int:
    text = query.get("page_size") or str(DEFAULT)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise Refused("invalid", f"A page holds 1 to {MOST} rows.", "page_size")
    return int(text)


def link(request: Request, cursor: object) -> str | None:
    """The same request from `cursor` on; None where there is no such page."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
