"""Keyset pagination: page 100,000 costs as much as the first.

`load_page` is for pages that people read, over (a datetime column descending, id); `iter_pages` for reading all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet


@dataclass(frozen=True, slots=True)
class PageCursor:
    """A position next to a row, given by its time and id, and the direction in which to read on."""

    timestamp: datetime
    id: UUID
    backwards: bool = False

    def __str__(self) -> str:
        return f"{'-' if self.backwards else ''}{self.timestamp:%Y%m%dT%H%M%S.%f}_{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> PageCursor:
        """Parse what `str(cursor)` returns. Raises ValueError."""
        stamp, _, id_hex = text.removeprefix("-").partition("_")
        timestamp = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%S.%f%z")
        return cls(timestamp, UUID(id_hex), backwards=text.startswith("-"))


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    next: PageCursor | None
    previous: PageCursor | None


def iter_pages(rows: QuerySet[Any], *, size: int, key: str = "pk") -> Iterator[list[Any]]:
    """Yield the rows in the order of the unique column `key`, `size` per page; each page is read when it is needed.

    Rows that are tuples begin with the key, and rows that are single values are the key.
    """
    ordered = rest = rows.order_by(key)
    while page := list(rest[:size]):
        yield page
        rest = ordered.filter((f"{key}__gt", _key_of(page[-1], key)))


def _key_of(row: Any, key: str) -> Any:  # noqa: ANN401 - a model, a tuple or a value
    if isinstance(row, Model):
        return getattr(row, key)
    return row[0] if isinstance(row, tuple) else row


def load_page(rows: QuerySet[Any], *, time_column: str, size: int, cursor: PageCursor | None) -> Page:
    """Load at most `size` rows from `cursor` on, newest first; one query, and no count."""
    backwards = cursor is not None and cursor.backwards
    loaded = list(filter_from(rows, cursor, time_column=time_column)[: size + 1])
    more = len(loaded) > size
    loaded = loaded[:size]
    if backwards:
        loaded.reverse()
    if not loaded:
        return Page([], None, None)
    first, last = loaded[0], loaded[-1]
    older = PageCursor(getattr(last, time_column), last.id) if more or backwards else None
    newer = PageCursor(getattr(first, time_column), first.id, backwards=True)
    return Page(loaded, older, newer if (more if backwards else cursor is not None) else None)


def filter_from(rows: QuerySet[Any], cursor: PageCursor | None, *, time_column: str) -> QuerySet[Any]:
    """The rows behind `cursor` in reading order: newest first, or oldest first where the cursor goes backwards."""
    if cursor is None:
        return rows.order_by(f"-{time_column}", "id")
    same_time = Q((time_column, cursor.timestamp))
    if cursor.backwards:
        newer = Q((f"{time_column}__gt", cursor.timestamp)) | same_time & Q(id__lt=cursor.id)
        return rows.filter(newer, (f"{time_column}__gte", cursor.timestamp)).order_by(time_column, "-id")
    older = Q((f"{time_column}__lt", cursor.timestamp)) | same_time & Q(id__gt=cursor.id)
    return rows.filter(older, (f"{time_column}__lte", cursor.timestamp)).order_by(f"-{time_column}", "id")
