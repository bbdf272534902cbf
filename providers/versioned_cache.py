"""One edition of a book in memory, and the version in the database that tells every process when it is old."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from django.db.models import F

from providers.models import CatalogVersion


class Edition(Protocol):
    @property
    def version(self) -> int: ...


Book = TypeVar("Book", bound=Edition)


class VersionedCache(Generic[Book]):
    """The book called `name`, held by version. It is replaced whole, so threads need no lock."""

    def __init__(self, name: str, load: Callable[[int], Book]) -> None:
        self.name, self.load = name, load
        self.held: Book | None = None

    def current(self, version: int | None = None) -> Book:
        """The book in force, from memory unless it changed; `version` where the caller has read it already.

        The rows are read after their version: a change in between is read again at the next look, never missed.
        """
        wanted = self.read_version() if version is None else version
        book = self.held
        if book is None or book.version != wanted:
            book = self.held = self.load(wanted)
        return book

    def read_version(self) -> int:
        """The book's version in the database; 0 before anything was loaded."""
        return CatalogVersion.objects.filter(book=self.name).values_list("version", flat=True).first() or 0

    def changed(self) -> None:
        """Says to every process that the book changed; called in the transaction of the change.

        The step is random: where the transaction is rolled back, no later change may bring the version under which a
        process has read what was never committed.
        """
        CatalogVersion.objects.get_or_create(book=self.name)
        CatalogVersion.objects.filter(book=self.name).update(version=F("version") + 1 + secrets.randbelow(2**31))
        self.held = None  # this process must not keep a book that it knows to be old
