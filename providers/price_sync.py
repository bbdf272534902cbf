"""Compares a price source with the price book and stores each difference as a proposal.

No price changes until an operator accepts a proposal (price_decisions.py). A run is one transaction and can be
repeated: open proposals stay, outdated ones are superseded, rejected ones stay rejected.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from lib import ids, retry
from providers import price_book, price_diff, proposed_rules
from providers.models import PriceProposal, Provider
from providers.offer_checks import OfferChecker
from providers.price_book import PriceBook
from providers.price_sources import Offer, Omission

MAX_EVENT_AGE = timedelta(days=35)  # a new price without a date applies to every event that can still arrive
FLAGS = {
    "over_20": Q(over_20=True),
    "sources_disagree": Q(sources_disagree=True),
    "drops_rates": Q(drops_rates=True),
    "without": ~Q(without=[]),
    "new_provider": Q(new_provider=True),
}
FLAGGED = reduce(or_, FLAGS.values())
KIND, STATE = PriceProposal.Kind, PriceProposal.State
REFRESHED_FIELDS = (
    *("edition", "kind", "category", "provider_name", "valid_from", "without", "hosts"),
    *("base_id", "over_20", "drops_rates", "new_provider"),
)
BATCH_SIZE = 200  # rows per SQL statement

StatementKey = tuple[str, str, date | None]  # provider, model, the source's own date


@dataclass(slots=True)
class SyncCounts:
    """The result of a run, in numbers of statements or proposals."""

    read: int = 0
    unchanged: int = 0
    proposed: Counter[str] = field(default_factory=Counter)  # open now, by kind
    flagged: int = 0
    rejected: int = 0  # the same statement was rejected before
    superseded: int = 0
    omitted: Counter[str] = field(default_factory=Counter)  # by reason
    without: Counter[str] = field(default_factory=Counter)  # offers, by what they lack


@dataclass(slots=True)
class _SourceList:
    """The source's current list: the offers that can become prices, and every model that it lists at all."""

    offers: dict[StatementKey, Offer] = field(default_factory=dict)
    listed: set[tuple[str, str]] = field(default_factory=set)  # provider, model


@dataclass(frozen=True, slots=True)
class _SyncRun:
    """What all steps of one run share."""

    source: str
    at: datetime
    new_from: date | None
    book: PriceBook
    providers: dict[str, str]  # slug -> name

    @property
    def today(self) -> date:
        return self.at.date()

    @property
    def default_start(self) -> date:
        """The first day of a new price without a date."""
        return self.new_from or self.today - MAX_EVENT_AGE


@retry.atomic
def run(
    statements: Sequence[Offer | Omission], *, source: str, at: datetime, new_from: date | None, dry_run: bool = False
) -> SyncCounts:
    """Updates the open proposals of one source. `new_from` is the first day of new prices without a date.

    Raises ValueError if no statement can be imported: such a list must not end existing prices.
    """
    counts = SyncCounts()
    sync_run = _SyncRun(source, at, new_from, price_book.current(), dict(Provider.objects.values_list("slug", "name")))
    source_list = _collect(statements, counts)
    if not source_list.offers:
        raise ValueError(f"None of the {counts.read} statements can be imported as a price.")
    _date_undated_offers(source_list.offers, sync_run, counts)
    drafts = [draft for offer in source_list.offers.values() if (draft := _draft(offer, sync_run))]
    counts.unchanged = len(source_list.offers) - len(drafts)
    _reconcile([*drafts, *_withdrawn(source_list, sync_run)], sync_run, counts)
    _mark_disagreements()
    hosts = ((offer.provider, host) for offer in source_list.offers.values() for host in offer.hosts)
    proposed_rules.propose(hosts, edition=next(iter(source_list.offers.values())).source)
    counts.flagged = PriceProposal.objects.filter(FLAGGED, source=source, state=STATE.OPEN).count()
    transaction.set_rollback(dry_run)
    return counts


def open_key(proposal: PriceProposal) -> UUID:
    """Returns the key that allows one open proposal per source, provider, model and date."""
    return ids.lookup_key(json.dumps([proposal.source, *_statement_key(proposal)], default=str))


def _statement_key(item: PriceProposal | Offer) -> StatementKey:
    return item.provider, item.pattern, item.valid_from if isinstance(item, Offer) else item.stated_from


def _collect(statements: Iterable[Offer | Omission], counts: SyncCounts) -> _SourceList:
    source_list, checker = _SourceList(), OfferChecker()
    for statement in statements:
        counts.read += 1
        if isinstance(statement, Omission):
            source_list.listed.add((statement.provider, statement.model.lower()))
            counts.omitted[statement.reason] += 1
            continue
        source_list.listed.update((statement.provider, name) for name in (statement.pattern, *statement.aliases))
        key = _statement_key(statement)
        reason = "a duplicate" if key in source_list.offers else checker.problem(statement)
        if reason:
            counts.omitted[reason] += 1
        else:
            source_list.offers[key] = statement
            counts.without.update(statement.without)
    return source_list


def _date_undated_offers(offers: dict[StatementKey, Offer], run: _SyncRun, counts: SyncCounts) -> None:
    """Dates the undated price of a model that has dated ones: it applied before the first of them, not today."""
    firsts: dict[tuple[str, str], date] = {}
    for provider, pattern, day in offers:
        if day and day <= run.today:
            firsts[provider, pattern] = min(day, firsts.get((provider, pattern), day))
    for (provider, pattern), first in firsts.items():
        offer = offers.pop((provider, pattern, None), None)
        if offer and run.default_start < first:
            offers[provider, pattern, run.default_start] = replace(offer, valid_from=run.default_start)
        elif offer:
            counts.omitted["superseded by a later price"] += 1


def _draft(offer: Offer, run: _SyncRun) -> PriceProposal | None:
    """Returns a proposal if the offer differs from the book on the offer's day, else None."""
    base = run.book.find_entry(offer.provider, offer.pattern, offer.valid_from or run.today)
    if base and set(base.price.rates) == set(offer.rates) and base.aliases.issuperset(offer.aliases):
        return None
    return PriceProposal(
        source=run.source,
        edition=offer.source,
        kind=KIND.CHANGED if base else KIND.NEW,
        provider=offer.provider,
        provider_name=run.providers.get(offer.provider, offer.provider_name),
        pattern=offer.pattern,
        aliases=sorted(offer.aliases),
        category=offer.category,
        stated_from=offer.valid_from,
        valid_from=offer.valid_from or (run.today if base else run.default_start),
        rates=sorted([rate.unit, rate.variant, rate.above, rate.nano_per_million] for rate in offer.rates),
        without=list(offer.without),
        hosts=list(offer.hosts),
        base_id=base.price.id if base else None,
        over_20=bool(
            base and any(change.is_large for change in price_diff.rate_changes(base.price.rates, offer.rates))
        ),
        drops_rates=bool(base and price_diff.dropped(base.price.rates, offer.rates)),
        new_provider=offer.provider not in run.providers,
        created_at=run.at,
    )


def _withdrawn(source_list: _SourceList, run: _SyncRun) -> Iterator[PriceProposal]:
    """Yields proposals to end the prices imported from this source whose model it no longer lists."""
    edition = next(iter(source_list.offers.values())).source
    accepted = PriceProposal.objects.filter(source=run.source, state=STATE.ACCEPTED).exclude(kind=KIND.GONE)
    price_ids = set(accepted.values_list("price_id", flat=True))
    for price in run.book.prices_on(run.today):
        if price.id in price_ids and (price.provider, price.pattern) not in source_list.listed:
            yield PriceProposal(
                source=run.source,
                edition=edition,
                kind=KIND.GONE,
                provider=price.provider,
                provider_name=run.providers[price.provider],
                pattern=price.pattern,
                valid_from=run.today,
                base_id=price.id,
                created_at=run.at,
            )


def _reconcile(drafts: Iterable[PriceProposal], run: _SyncRun, counts: SyncCounts) -> None:
    """Makes the drafts the open proposals of the source. Changed content becomes a new proposal, to be reviewed again."""
    proposals = PriceProposal.objects.filter(source=run.source)
    locked = proposals.select_for_update().filter(state=STATE.OPEN).order_by("pk")
    current = {open_key(proposal): proposal for proposal in locked}
    rejected = {(open_key(proposal), _content(proposal)) for proposal in proposals.filter(state=STATE.REJECTED)}
    added, refreshed = [], []
    for draft in drafts:
        key = draft.open_key = open_key(draft)
        if (key, _content(draft)) in rejected:
            counts.rejected += 1
            continue
        counts.proposed[draft.kind] += 1
        if key in current and _content(current[key]) == _content(draft):
            refreshed += _refresh(current.pop(key), draft, run)
        else:
            added.append(draft)
    outdated = [proposal.pk for proposal in current.values()]
    proposals.filter(pk__in=outdated).update(state=STATE.SUPERSEDED, open_key=None, decided_at=run.at)
    PriceProposal.objects.bulk_update(refreshed, REFRESHED_FIELDS, batch_size=BATCH_SIZE)
    PriceProposal.objects.bulk_create(added, batch_size=BATCH_SIZE)
    counts.superseded = len(outdated)


def _content(proposal: PriceProposal) -> str:
    """Returns what an operator decides on, as text: equal texts need one decision."""
    ended = proposal.base_id if proposal.kind == KIND.GONE else None
    return json.dumps([proposal.rates, proposal.aliases, ended])


def _refresh(old: PriceProposal, draft: PriceProposal, run: _SyncRun) -> list[PriceProposal]:
    """Updates the open proposal from the draft. Returns it if changed; an undated one keeps its first day."""
    same = (old.kind, old.base_id) == (draft.kind, draft.base_id)
    if draft.stated_from is None and same and not (run.new_from and draft.kind == KIND.NEW):
        draft.valid_from = old.valid_from
    if all(getattr(old, name) == getattr(draft, name) for name in REFRESHED_FIELDS):
        return []
    for name in REFRESHED_FIELDS:
        setattr(old, name, getattr(draft, name))
    return [old]


def _mark_disagreements() -> None:
    """Flags the open proposals whose source contradicts the latest proposal of another source, and clears old flags."""
    latest: dict[tuple[str, str], dict[str, PriceProposal]] = defaultdict(dict)
    proposals = PriceProposal.objects.filter(state__in=[STATE.OPEN, STATE.ACCEPTED]).order_by("valid_from", "pk")
    for proposal in proposals:
        latest[proposal.provider, proposal.pattern][proposal.source] = proposal
    flagged = {proposal.pk for by_source in latest.values() for proposal in _disagreeing(list(by_source.values()))}
    open_proposals = [proposal for proposal in proposals if proposal.state == STATE.OPEN]
    wrong = [proposal.pk for proposal in open_proposals if proposal.sources_disagree != (proposal.pk in flagged)]
    PriceProposal.objects.filter(pk__in=flagged.intersection(wrong)).update(sources_disagree=True)
    PriceProposal.objects.filter(pk__in=set(wrong) - flagged).update(sources_disagree=False)


def _disagreeing(proposals: list[PriceProposal]) -> Iterator[PriceProposal]:
    """Yields the proposals whose rates contradict those of another source."""
    for proposal in proposals:
        other_rates = [item.proposed_rates for item in proposals if item is not proposal]
        disagrees = any(price_diff.contradict(proposal.proposed_rates, rates) for rates in other_rates)
        if proposal.kind != KIND.GONE and disagrees:
            yield proposal
