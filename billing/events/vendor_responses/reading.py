"""What was read of a vendor's response. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from billing.events import responses


class Reading(NamedTuple):
    usage: dict[str, int | str]
    variant: dict[str, str]
    model: str
    response_id: str
    cost_usd: str | None
    excludes_cached: bool
    reader: str
    ignored: tuple[str, ...]
    unread: tuple[str, ...]


def read(pieces: Sequence[object]) -> Reading:
    parsed = responses.read_usage(pieces[-1])
    variant = {"service_tier": parsed.service_tier} if parsed.service_tier else {}
    return Reading(parsed.usage, variant, parsed.model, "", None, parsed.excludes_cached, "x", (), ())


class Reader:
    def __init__(self) -> None:
        self._usage: dict[str, int | str] = {}
        self._last: Reading | None = None
        self._model = ""
        self._variant: dict[str, str] = {}
        self._excl = False

    def add(self, piece: object) -> None:
        r = read([piece])
        self._usage.update(r.usage)
        self._model = self._model or r.model
        self._variant.update(r.variant)
        self._excl = self._excl or r.excludes_cached

    def reading(self) -> Reading:
        return Reading(self._usage, self._variant, self._model, "", None, self._excl, "x", (), ())
