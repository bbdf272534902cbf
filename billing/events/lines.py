"""A line of a file or table of old usage, read. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from billing.errors import Refused
from billing.events.events import Event


@dataclass(frozen=True, slots=True)
class Line:
    """One row of an old source: how it is called there, and the event or the refusal that it is."""

    name: str
    event: Event | Refused
