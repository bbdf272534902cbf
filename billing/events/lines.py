"""One imported line of a file or legacy table. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from billing.errors import Refused
from billing.events.events import Event


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One row of the source: its name there, and the parsed event or the reason why it was refused."""

    name: str
    event: Event | Refused
