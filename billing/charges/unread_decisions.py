"""Operators' decisions on unread fields in force, loaded from the table and cached by version."""

from __future__ import annotations

from dataclasses import dataclass

from billing.events.unread_fields import DISMISSED, Decisions
from billing.models import UnreadField
from providers.versioned_cache import VersionedCache

CATALOG = "unread_fields"


@dataclass(frozen=True, eq=False)
class DecisionBook:
    """All decisions at one version."""

    version: int
    decisions: Decisions


def _load(version: int) -> DecisionBook:
    decided = UnreadField.objects.exclude(state=UnreadField.State.OPEN).values_list("reader", "path", "state", "unit")
    is_mapped = UnreadField.State.MAPPED
    return DecisionBook(
        version,
        {(reader, path): unit if state == is_mapped else DISMISSED for reader, path, state, unit in decided},
    )


_cache = VersionedCache(CATALOG, _load)
current, invalidate = _cache.current, _cache.invalidate
