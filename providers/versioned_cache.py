"""An in-memory cache of one catalog (rules, prices, plans), reloaded when its version in the database changes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from django.db.models import F

from providers.models import CatalogVersion


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Versioned)


class VersionedCache(Generic[T]):
    """Caches the catalog called `name`. The object is replaced as a whole, so threads need no lock."""

    def __init__(self, name: str, load: Callable[[int], T]) -> None:
        self.name, self.load = name, load
        self.cached: T | None = None

    def current(self, version: int | None = None) -> T:
        """Returns the current catalog, reloaded if it changed. Pass `version` to save reading it again.

        Rows are read after their version: a change in between causes another reload, and is never missed.
        """
        latest = self.read_version() if version is None else version
        catalog = self.cached
        if catalog is None or catalog.version != latest:
            catalog = self.cached = self.load(latest)
        return catalog

    def read_version(self) -> int:
        """Returns the version in the database; 0 before anything was loaded."""
        return CatalogVersion.objects.filter(book=self.name).values_list("version", flat=True).first() or 0

    def invalidate(self) -> None:
        """Makes every process reload the catalog. Run it in the transaction that changes the rows.

        The increment is random: after a rollback, no later change may reuse the version under which this process
        has cached rows that were never committed.
        """
        CatalogVersion.objects.get_or_create(book=self.name)
        CatalogVersion.objects.filter(book=self.name).update(version=F("version") + 1 + secrets.randbelow(2**31))
        self.cached = None
