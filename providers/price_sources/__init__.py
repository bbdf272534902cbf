"""What public price lists say, in our own units: the types that every source yields. `sync_prices` asks the modules here.

Nothing here writes: an offer becomes a price only where an operator accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from providers.costing import Rate


@dataclass(frozen=True, slots=True)
class Offer:
    """One price as a source states it; ids are in lower case, `aliases` and `rates` sorted.

    `provider` is our slug, or one made of the source's own id for a company that we do not know. `pattern` is an id,
    or a glob where the source's own matching is one prefix, suffix or contained text. `valid_from` None: not said.
    """

    provider: str
    provider_name: str
    pattern: str
    aliases: tuple[str, ...]
    category: str
    valid_from: date | None
    rates: tuple[Rate, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a source states and we cannot take over; `reason` is one of a few fixed texts, so that it can be counted."""

    provider: str
    model: str
    reason: str
