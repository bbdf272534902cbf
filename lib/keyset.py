"""Pages by key over (a time descending, id): page 100,000 costs what the first costs. The log's search and change lists ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two rows: the row next to it, and on which side to go on."""

    moment: datetime
    id: UUID
    backwards: bool = False

    def __str__(self) -> str:
        return f"{'-' if self.backwards else ''}{self.moment:%Y%m%dT%H%M%S.%f}_{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Raises ValueError."""
        stamp, _, identity = text.removeprefix("-").partition("_")
        moment = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%S.%f%z")
        return cls(moment, UUID(identity), backwards=text.startswith("-"))


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    next: Mark | None
    previous: Mark | None


def page(found: QuerySet[Any], *, by: str, size: int, mark: Mark | None) -> Page:
    """`size` rows from `mark` on, newest first by the column `by`; one query, and no count."""
    backwards = mark is not None and mark.backwards
    rows = list(beyond(found, mark, by=by)[: size + 1])
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    older = Mark(getattr(rows[-1], by), rows[-1].id) if more or backwards else None
    newer = Mark(getattr(rows[0], by), rows[0].id, backwards=True)
    return Page(rows, older, newer if (more if backwards else mark is not None) else None)


def beyond(found: QuerySet[Any], mark: Mark | None, *, by: str) -> QuerySet[Any]:
    """What lies beyond `mark`, in the order in which it is read from there: oldest first where it goes backwards."""
    if mark is None:
        return found.order_by(f"-{by}", "id")
    here = Q((by, mark.moment))
    if mark.backwards:
        after = Q((f"{by}__gt", mark.moment)) | here & Q(id__lt=mark.id)
        return found.filter(after, (f"{by}__gte", mark.moment)).order_by(by, "-id")
    before = Q((f"{by}__lt", mark.moment)) | here & Q(id__gt=mark.id)
    return found.filter(before, (f"{by}__lte", mark.moment)).order_by(f"-{by}", "id")
