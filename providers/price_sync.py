"""What a price source states, compared with the book: `sync_prices` turns each difference into a proposal.

Nothing here prices a call: price_decisions.py does, where an operator says so. A run is one transaction and may be
repeated: what is open already stays as it is, what no longer holds is superseded, what was rejected stays rejected.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from lib import ids
from providers import price_book, price_diff
from providers.models import PriceProposal, Provider
from providers.price_book import PriceBook
from providers.price_fitness import Fitness
from providers.price_sources import Left, Offer

EVENT_AGE = timedelta(days=35)  # a new price without a date covers every event that can still arrive
FLAGGED = Q(over_20=True) | Q(sources_disagree=True) | Q(new_provider=True)
KIND, STATE = PriceProposal.Kind, PriceProposal.State
REFRESHED = ("edition", "kind", "category", "provider_name", "valid_from", "base_id", "over_20", "new_provider")
ROWS = 200  # of one statement

Statement = tuple[str, str, date | None]  # provider, model, the source's own date


@dataclass(slots=True)
class Counts:
    """What a run read, and what came of it."""

    read: int = 0
    unchanged: int = 0
    proposed: Counter[str] = field(default_factory=Counter)  # open now, by kind
    flagged: int = 0
    rejected: int = 0  # stated as it was rejected before
    superseded: int = 0
    left: Counter[str] = field(default_factory=Counter)  # by reason


@dataclass(slots=True)
class _Stated:
    """What the source states now: the offers that can become prices, and every id that it names at all."""

    offers: dict[Statement, Offer] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Run:
    """What every draft of one run needs to know."""

    source: str
    at: datetime
    new_from: date | None
    book: PriceBook
    providers: dict[str, str]  # the name of each slug

    @property
    def today(self) -> date:
        return self.at.date()

    @property
    def new_day(self) -> date:
        return self.new_from or self.today - EVENT_AGE


@transaction.atomic
def run(
    statements: Iterable[Offer | Left], *, source: str, at: datetime, new_from: date | None, dry_run: bool = False
) -> Counts:
    """Brings the open proposals of one source up to date. `new_from`: where a new price begins that has no date.

    Raises ValueError where no statement can be taken over: that is no price list, and no reason to end prices.
    """
    counts = Counts()
    this = _Run(source, at, new_from, price_book.current(), dict(Provider.objects.values_list("slug", "name")))
    stated = _stated(statements, counts)
    if not stated.offers:
        raise ValueError(f"None of the {counts.read} statements is a price that can be taken over.")
    _date_the_first(stated.offers, this, counts)
    differing = [draft for offer in stated.offers.values() if (draft := _draft(offer, this))]
    counts.unchanged = len(stated.offers) - len(differing)
    _reconcile([*differing, *_gone(stated, this)], this, counts)
    _mark_disagreements()
    counts.flagged = PriceProposal.objects.filter(FLAGGED, source=source, state=STATE.OPEN).count()
    transaction.set_rollback(dry_run)
    return counts


def open_key(proposal: PriceProposal) -> UUID:
    """What only one open proposal may be about."""
    return ids.key_of(json.dumps([proposal.source, *_statement(proposal)], default=str))


def _statement(one: PriceProposal | Offer) -> Statement:
    return one.provider, one.pattern, one.valid_from if isinstance(one, Offer) else one.stated_from


def _stated(statements: Iterable[Offer | Left], counts: Counts) -> _Stated:
    stated, fitness = _Stated(), Fitness()
    for one in statements:
        counts.read += 1
        if isinstance(one, Left):
            stated.named.add((one.provider, one.model.lower()))
            counts.left[one.reason] += 1
            continue
        stated.named.update((one.provider, name) for name in (one.pattern, *one.aliases))
        reason = "it is stated twice" if _statement(one) in stated.offers else fitness.fault(one)
        if reason:
            counts.left[reason] += 1
        else:
            stated.offers[_statement(one)] = one
    return stated


def _date_the_first(offers: dict[Statement, Offer], this: _Run, counts: Counts) -> None:
    """A price without a date beside dated ones is what was asked before the first of these, not what is asked today."""
    firsts: dict[tuple[str, str], date] = {}
    for provider, pattern, day in offers:
        if day and day <= this.today:
            firsts[provider, pattern] = min(day, firsts.get((provider, pattern), day))
    for (provider, pattern), first in firsts.items():
        offer = offers.pop((provider, pattern, None), None)
        if offer and this.new_day < first:
            offers[provider, pattern, this.new_day] = replace(offer, valid_from=this.new_day)
        elif offer:
            counts.left["a later price has taken its place"] += 1


def _draft(offer: Offer, this: _Run) -> PriceProposal | None:
    """What the offer would change in the book as it is on the offer's day, or None."""
    base = this.book.entry(offer.provider, offer.pattern, offer.valid_from or this.today)
    if base and set(base.price.rates) == set(offer.rates) and base.aliases.issuperset(offer.aliases):
        return None
    begins = this.today if base else this.new_day
    return PriceProposal(
        source=this.source,
        edition=offer.source,
        kind=KIND.CHANGED if base else KIND.NEW,
        provider=offer.provider,
        provider_name=this.providers.get(offer.provider, offer.provider_name),
        pattern=offer.pattern,
        aliases=sorted(offer.aliases),
        category=offer.category,
        stated_from=offer.valid_from,
        valid_from=offer.valid_from or begins,
        rates=sorted([rate.unit, rate.variant, rate.above, rate.nano_per_million] for rate in offer.rates),
        base_id=base.price.id if base else None,
        over_20=bool(base and any(one.is_large for one in price_diff.changes(base.price.rates, offer.rates))),
        new_provider=offer.provider not in this.providers,
        created_at=this.at,
    )


def _gone(stated: _Stated, this: _Run) -> Iterator[PriceProposal]:
    """The prices in force that came from this source, where it no longer names the model at all."""
    edition = next(iter(stated.offers.values())).source
    taken = PriceProposal.objects.filter(source=this.source, state=STATE.ACCEPTED).exclude(kind=KIND.GONE)
    ids = set(taken.values_list("price_id", flat=True))
    for price in this.book.asked(this.today):
        if price.id in ids and (price.provider, price.pattern) not in stated.named:
            yield PriceProposal(
                source=this.source,
                edition=edition,
                kind=KIND.GONE,
                provider=price.provider,
                provider_name=this.providers[price.provider],
                pattern=price.pattern,
                valid_from=this.today,
                base_id=price.id,
                created_at=this.at,
            )


def _reconcile(drafts: Iterable[PriceProposal], this: _Run, counts: Counts) -> None:
    """Makes the drafts the source's open proposals. Other content is another proposal: nobody accepts it unseen."""
    ours = PriceProposal.objects.filter(source=this.source)
    held = {open_key(one): one for one in ours.select_for_update().filter(state=STATE.OPEN).order_by("pk")}
    rejected = {(open_key(one), _content(one)) for one in ours.filter(state=STATE.REJECTED)}
    added, refreshed = [], []
    for draft in drafts:
        key = draft.open_key = open_key(draft)
        if (key, _content(draft)) in rejected:
            counts.rejected += 1
            continue
        counts.proposed[draft.kind] += 1
        if key in held and _content(held[key]) == _content(draft):
            refreshed += _refreshed(held.pop(key), draft, this)
        else:
            added.append(draft)
    closed = [one.pk for one in held.values()]
    ours.filter(pk__in=closed).update(state=STATE.SUPERSEDED, open_key=None, decided_at=this.at)
    PriceProposal.objects.bulk_update(refreshed, REFRESHED, batch_size=ROWS)
    PriceProposal.objects.bulk_create(added, batch_size=ROWS)
    counts.superseded = len(closed)


def _content(proposal: PriceProposal) -> str:
    """What an operator decides on: the same text is the same decision."""
    ended = proposal.base_id if proposal.kind == KIND.GONE else None
    return json.dumps([proposal.rates, proposal.aliases, ended])


def _refreshed(old: PriceProposal, draft: PriceProposal, this: _Run) -> list[PriceProposal]:
    """The open proposal where the draft says something new of it; an undated one keeps the day it was first seen on."""
    same = (old.kind, old.base_id) == (draft.kind, draft.base_id)
    if draft.stated_from is None and same and not (this.new_from and draft.kind == KIND.NEW):
        draft.valid_from = old.valid_from
    if all(getattr(old, name) == getattr(draft, name) for name in REFRESHED):
        return []
    for name in REFRESHED:
        setattr(old, name, getattr(draft, name))
    return [old]


def _mark_disagreements() -> None:
    """Flags the open proposals whose source's latest word contradicts another source's, and takes old flags away."""
    latest: dict[tuple[str, str], dict[str, PriceProposal]] = defaultdict(dict)
    held = PriceProposal.objects.filter(state__in=[STATE.OPEN, STATE.ACCEPTED]).order_by("valid_from", "pk")
    for one in held:
        latest[one.provider, one.pattern][one.source] = one
    flagged = {
        one.pk
        for words in latest.values()
        for one in words.values()
        if one.kind != KIND.GONE
        and any(price_diff.contradict(one.offered, other.offered) for other in words.values() if other is not one)
    }
    wrong = [one.pk for one in held if one.state == STATE.OPEN and one.sources_disagree != (one.pk in flagged)]
    PriceProposal.objects.filter(pk__in=flagged.intersection(wrong)).update(sources_disagree=True)
    PriceProposal.objects.filter(pk__in=set(wrong) - flagged).update(sources_disagree=False)
