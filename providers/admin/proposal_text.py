"""Price proposals as text, for the list, the proposal's page and the CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from lib import money
from providers import price_book, price_conditions, price_decisions, price_diff
from providers.costing import Rate
from providers.models import PriceProposal
from providers.price_diff import RateChange

FLAGS = {
    "over_20": "over 20 %",
    "sources_disagree": "sources disagree",
    "drops_rates": "drops rates",
    "without": "incomplete",
    "new_provider": "new provider",
}
MAX_LISTED = 5  # proposals in a message
CSV_COLUMNS = (
    *("provider", "model", "kind", "now_and_proposed_usd_per_million", "change_percent", "flags"),
    *("valid_from", "source", "state", "aliases"),
)


def rate_changes(proposal: PriceProposal) -> list[RateChange]:
    """Each rate of the price, now and as proposed. Prefetch `base__rates` to avoid queries."""
    return price_diff.rate_changes(price_book.rates_of(proposal.base) if proposal.base else (), proposal.proposed_rates)


def dropped_rates(proposal: PriceProposal) -> list[str]:
    """The rates that accepting the proposal would drop: "input tokens (batch)"."""
    return [describe_rate(rate) for rate in price_decisions.dropped_rates(proposal)]


class RateRow(NamedTuple):
    """A row of the rate table on a proposal's page, as text."""

    unit: str
    variant: str
    above: str
    now: str
    proposed: str
    change: str
    is_large: bool


def rate_rows(proposal: PriceProposal) -> list[RateRow]:
    return [
        RateRow(
            unit=change.unit.replace("_", " "),
            variant=change.variant or "any",
            above=f"{change.above:,} tokens" if change.above else "–",  # noqa: RUF001 - a dash is meant
            now=format_usd(change.current_nano),
            proposed=format_usd(change.proposed_nano),
            change=describe_change(change, proposal),
            is_large=change.is_large and proposal.kind == PriceProposal.Kind.CHANGED,
        )
        for change in rate_changes(proposal)
    ]


def new_aliases(proposal: PriceProposal) -> list[str]:
    return [name for name in proposal.aliases if not proposal.base or name not in proposal.base.aliases]


def change_lines(proposal: PriceProposal) -> Iterator[str]:
    """One line for what the price lacks, one for each rate that would change, and one for new aliases."""
    if proposal.without:
        yield f"offered without {', '.join(proposal.without)}"
    for change in rate_changes(proposal):
        if change.current_nano != change.proposed_nano:
            yield f"{describe_rate(change)} {format_amounts(change, new=proposal.base is None)}"
    if proposal.base and proposal.aliases and (names := new_aliases(proposal)):
        yield f"aliases: {', '.join(names)}"


def describe_rate(change: RateChange | Rate) -> str:
    """ "input tokens (batch, above 200,000)"."""
    values = (value for _, value in price_conditions.parse(change.variant))
    conditions = [*values, f"above {change.above:,}" if change.above else ""]
    suffix = ", ".join(condition for condition in conditions if condition)
    return change.unit.replace("_", " ") + (f" ({suffix})" if suffix else "")


def format_amounts(change: RateChange, *, new: bool) -> str:
    return (
        format_usd(change.proposed_nano)
        if new
        else f"{format_usd(change.current_nano)} → {format_usd(change.proposed_nano)}"
    )


def format_usd(nano: int | None) -> str:
    """An exact amount with separators: $2.5, $40,000; a dash for None."""
    if nano is None:
        return "–"  # noqa: RUF001 - a dash is meant
    dollars, point, decimals = money.exact_usd(nano).partition(".")
    return f"${int(dollars):,}{point}{decimals}"


def largest_change(proposal: PriceProposal) -> Decimal | None:
    """The largest change of a rate in per cent; None for a price that is new or ends."""
    return price_diff.largest_percent(rate_changes(proposal)) if proposal.kind == PriceProposal.Kind.CHANGED else None


def format_percent(value: Decimal | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:+.1f} %" if value else "0 %"


def describe_change(change: RateChange, proposal: PriceProposal) -> str:
    """The change of a rate in per cent; "added" or "ends" where there is no percentage."""
    if proposal.base is None or change.percent is not None:
        return format_percent(change.percent if proposal.base else None)
    return "ends" if change.proposed_nano is None else "added"


def flags(proposal: PriceProposal) -> list[str]:
    return [label for flag, label in FLAGS.items() if getattr(proposal, flag)]


def csv_row(proposal: PriceProposal) -> list[object]:
    """The values of CSV_COLUMNS."""
    change = largest_change(proposal)
    return [
        proposal.provider,
        proposal.pattern,
        proposal.kind,
        "; ".join(change_lines(proposal)),
        "" if change is None else str(change),
        ", ".join(flags(proposal)),
        proposal.valid_from,
        proposal.edition,
        proposal.state,
        " ".join(proposal.aliases),
    ]


def stale_message(proposals: Sequence[PriceProposal]) -> str:
    """Explains why these proposals were not changed."""
    return (
        f"Not changed: {list_models(proposals)}. The price book or another proposal has changed since they were "
        "proposed. Run sync_prices again to compare the source with the current prices."
    )


def unconfirmed_message(proposals: Sequence[PriceProposal]) -> str:
    """Explains why these proposals need a confirmation."""
    return (
        f"Not accepted: {list_models(proposals)}. The current price has rates that the proposed one lacks. "
        "To drop these rates, tick the box before you accept."
    )


def list_models(proposals: Sequence[PriceProposal]) -> str:
    models = ", ".join(f"{proposal.provider} {proposal.pattern}" for proposal in proposals[:MAX_LISTED])
    more = f" and {len(proposals) - MAX_LISTED:,} more" if len(proposals) > MAX_LISTED else ""
    return f"{models}{more}"
