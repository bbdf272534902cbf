"""An operator's decisions on price proposals: accepted, rejected, reopened. The admin calls it.

An acceptance writes the price through price_edits.py, so it is in force for the next request of every worker, and
leaves the prices that rated old logs as they are. Every decision stands in the audit trail, with the actor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple

from auditlog.diff import model_instance_diff
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from providers import price_book, price_edits, price_sync, rulebook
from providers.models import Price, PriceProposal, Provider
from providers.price_book import PriceBook

ROWS = 200  # of one statement
STATE = PriceProposal.State


class Decided(NamedTuple):
    """The proposals that were decided, and those left as they are because what they rest on has changed."""

    done: Sequence[PriceProposal]
    stale: Sequence[PriceProposal]


@transaction.atomic
def accept(ids: Collection[int], *, actor: User, at: datetime) -> Decided:
    """Makes a price of each proposal that is open; one that the book has moved away from is left as it is."""
    chosen = _locked(ids, STATE.OPEN)
    fresh = list(_fresh(chosen, price_book.current(), at.date()))
    made = list(_prices(fresh))
    price_edits.record_all([(price, one.offered) for price, one in zip(made, fresh, strict=True)])
    for price, one in zip(made, fresh, strict=True):
        one.price = price
    _decide(fresh, STATE.ACCEPTED, actor, at)
    PriceProposal.objects.bulk_update(fresh, ["price"], batch_size=ROWS)
    new = [_entry(price, LogEntry.Action.CREATE, model_instance_diff(None, price), actor, at) for price in made]
    LogEntry.objects.bulk_create(new, batch_size=ROWS)
    return Decided(fresh, _others(chosen, fresh))


@transaction.atomic
def reject(ids: Collection[int], *, actor: User, at: datetime) -> Decided:
    """Closes the open ones; the same statement does not come back."""
    chosen = _locked(ids, STATE.OPEN)
    _decide(chosen, STATE.REJECTED, actor, at)
    return Decided(chosen, [])


@transaction.atomic
def reopen(ids: Collection[int], *, actor: User, at: datetime) -> Decided:
    """Opens rejected ones again, where no newer proposal is about the same."""
    chosen = _locked(ids, STATE.REJECTED)
    taken = set(PriceProposal.objects.filter(state=STATE.OPEN).values_list("open_key", flat=True))
    free = [one for one in chosen if price_sync.open_key(one) not in taken]
    _decide(free, STATE.OPEN, actor, at)
    for one in free:
        one.open_key = price_sync.open_key(one)
    PriceProposal.objects.bulk_update(free, ["open_key"], batch_size=ROWS)
    return Decided(free, _others(chosen, free))


def _locked(ids: Collection[int], state: str) -> list[PriceProposal]:
    """Those in that state, in the order of their dates; first their providers, as every edit of prices does."""
    chosen = PriceProposal.objects.filter(pk__in=ids, state=state)
    slugs = set(chosen.order_by().values_list("provider", flat=True))
    list(Provider.objects.select_for_update().filter(slug__in=slugs).order_by("pk"))
    locked = chosen.select_for_update().prefetch_related("base").order_by("pk")
    return sorted(locked, key=lambda one: (one.valid_from, one.pk))


def _fresh(chosen: Iterable[PriceProposal], book: PriceBook, today: date) -> Iterator[PriceProposal]:
    """Those whose base is still what the book asks; of two sources that price one model, the first."""
    slugs = {one.provider for one in chosen}
    accepted = PriceProposal.objects.filter(state=STATE.ACCEPTED, provider__in=slugs).order_by()
    made = {pk: source for pk, source in accepted.values_list("price_id", "source") if pk}
    taken: dict[tuple[str, str], str] = {}
    for one in chosen:
        if _holds(one, book, today, made) and taken.setdefault((one.provider, one.pattern), one.source) == one.source:
            yield one


def _holds(one: PriceProposal, book: PriceBook, today: date, made: dict[int, str]) -> bool:
    """Whether the price that it was compared with is still in force, or an earlier one of the same dated list is."""
    entry = book.entry(one.provider, one.pattern, one.stated_from or today)
    if entry is None or entry.price.id == one.base_id:
        return entry is not None or one.base_id is None
    earlier = made.get(entry.price.id) == one.source and entry.price.valid_from < one.valid_from
    return one.stated_from is not None and earlier


def _prices(accepted: Sequence[PriceProposal]) -> Iterator[Price]:
    """What the proposals become; a provider that is not in our table is made, and its name is known at once."""
    owners = {one.provider: one.provider_name for one in accepted}
    found = {slug: Provider.objects.get_or_create(slug=slug, defaults={"name": name}) for slug, name in owners.items()}
    if any(new for _, new in found.values()):
        rulebook.changed()
    for one in accepted:
        yield Price(
            provider=found[one.provider][0],
            pattern=one.pattern,
            aliases=sorted({*one.aliases, *(one.base.aliases if one.base else ())}),
            category=one.category or (one.base.category if one.base else ""),
            valid_from=one.valid_from,
            source=one.edition,
        )


def _decide(chosen: Sequence[PriceProposal], state: PriceProposal.State, actor: User, at: datetime) -> None:
    """Moves the locked proposals into the state, and says so in the audit trail."""
    entries = []
    for one in chosen:
        changes = {"state": [one.state, state.value]}
        if one.price:
            changes["price"] = ["None", str(one.price.pk)]
        entries.append(_entry(one, LogEntry.Action.UPDATE, changes, actor, at))
        one.state = state
    reopened = state == STATE.OPEN
    PriceProposal.objects.filter(pk__in=[one.pk for one in chosen]).update(
        state=state,
        open_key=None,
        decided_at=None if reopened else at,
        decided_by=None if reopened else actor,
    )
    LogEntry.objects.bulk_create(entries, batch_size=ROWS)


def _entry(
    of: Price | PriceProposal, action: int, changes: dict[str, list[str]], actor: User, at: datetime
) -> LogEntry:
    """One row of the audit trail: rows that are written in bulk make none by themselves."""
    return LogEntry(
        content_type=ContentType.objects.get_for_model(of),
        object_pk=str(of.pk),
        object_id=of.pk,
        object_repr=str(of),
        action=action,
        changes=changes,
        actor=actor,
        actor_email=actor.email,
        timestamp=at,
    )


def _others(chosen: Iterable[PriceProposal], done: Iterable[PriceProposal]) -> list[PriceProposal]:
    ids = {one.pk for one in done}
    return [one for one in chosen if one.pk not in ids]
