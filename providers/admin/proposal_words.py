"""What a price proposal says to people: its lines, its change, its flags; the list, the page and the CSV agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from lib import money
from providers import costing, price_book, price_diff
from providers.models import PriceProposal
from providers.price_diff import Change

FLAGS = {"over_20": "over 20 %", "sources_disagree": "sources disagree", "new_provider": "new provider"}
NAMED = 5  # proposals in a message
COLUMNS = (
    *("provider", "model", "kind", "now_and_proposed_usd_per_million", "change_percent", "flags"),
    *("valid_from", "source", "state", "aliases"),
)


def changes(proposal: PriceProposal) -> list[Change]:
    """Every cell of the price as it is and as it would be; read its base with its rates."""
    return price_diff.changes(price_book.rates_of(proposal.base) if proposal.base else (), proposal.offered)


class Row(NamedTuple):
    """One cell of a proposal's page, in words."""

    unit: str
    variant: str
    above: str
    now: str
    proposed: str
    change: str
    is_large: bool


def table(proposal: PriceProposal) -> list[Row]:
    return [
        Row(
            unit=one.unit.replace("_", " "),
            variant=one.variant or "any",
            above=f"{one.above:,} tokens" if one.above else "–",  # noqa: RUF001 - a dash is meant
            now=usd(one.now),
            proposed=usd(one.proposed),
            change=moved(one, proposal),
            is_large=one.is_large and proposal.kind == PriceProposal.Kind.CHANGED,
        )
        for one in changes(proposal)
    ]


def new_aliases(proposal: PriceProposal) -> list[str]:
    return [name for name in proposal.aliases if not proposal.base or name not in proposal.base.aliases]


def lines(proposal: PriceProposal) -> Iterator[str]:
    """One line for each cell that would change, and one for the names that would come along with a stored price."""
    for change in changes(proposal):
        if change.now != change.proposed:
            yield f"{cell(change)} {amounts(change, new=proposal.base is None)}"
    if proposal.base and proposal.aliases and (names := new_aliases(proposal)):
        yield f"aliases: {', '.join(names)}"


def cell(change: Change) -> str:
    """ "input tokens (batch, above 200,000)": short, as a row of the list has little room."""
    values = (value for _, value in costing.conditions(change.variant))
    limits = [*values, f"above {change.above:,}" if change.above else ""]
    stated = ", ".join(limit for limit in limits if limit)
    return change.unit.replace("_", " ") + (f" ({stated})" if stated else "")


def amounts(change: Change, *, new: bool) -> str:
    return usd(change.proposed) if new else f"{usd(change.now)} → {usd(change.proposed)}"


def usd(nano: int | None) -> str:
    """Exact, with separators: $2.5, $40,000; a dash where nothing is asked."""
    if nano is None:
        return "–"  # noqa: RUF001 - a dash is meant
    whole, point, rest = money.exact_usd(nano).partition(".")
    return f"${int(whole):,}{point}{rest}"


def largest(proposal: PriceProposal) -> Decimal | None:
    """The largest change; None for a price that is new or ends."""
    return price_diff.largest(changes(proposal)) if proposal.kind == PriceProposal.Kind.CHANGED else None


def percent(value: Decimal | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:+.1f} %" if value else "0 %"


def moved(change: Change, proposal: PriceProposal) -> str:
    """The change of one cell of a stored price; a word where there is nothing to divide by."""
    if proposal.base is None or change.percent is not None:
        return percent(change.percent if proposal.base else None)
    return "ends" if change.proposed is None else "added"


def flags(proposal: PriceProposal) -> list[str]:
    return [told for flag, told in FLAGS.items() if getattr(proposal, flag)]


def row(proposal: PriceProposal) -> list[object]:
    """The CSV's columns."""
    change = largest(proposal)
    return [
        proposal.provider,
        proposal.pattern,
        proposal.kind,
        "; ".join(lines(proposal)),
        "" if change is None else str(change),
        ", ".join(flags(proposal)),
        proposal.valid_from,
        proposal.edition,
        proposal.state,
        " ".join(proposal.aliases),
    ]


def stale(proposals: Sequence[PriceProposal]) -> str:
    """Why some were left as they are."""
    named = ", ".join(f"{one.provider} {one.pattern}" for one in proposals[:NAMED])
    more = f" and {len(proposals) - NAMED:,} more" if len(proposals) > NAMED else ""
    return (
        f"Left as they are: {named}{more}. The book or another proposal has changed since they were proposed; "
        "run sync_prices again to see them against the book of today."
    )
