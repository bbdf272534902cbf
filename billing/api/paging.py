"""What list endpoints share: the parameters of pages and the links between them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from rest_framework.request import Request

from billing.api.parameters import AccountParameter

MAX_PAGE_SIZE = 500


class PageParameters(AccountParameter, frozen=True):
    page_size: Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE)] = 50
    cursor: Annotated[str, Meta(description="Taken from the links of another page.")] = ""


def page_link(request: Request, cursor: object) -> str | None:
    """Returns the URL of the same request from `cursor` on; None if there is no such page."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
