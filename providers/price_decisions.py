"""An operator's decisions on price proposals: accept, reject, reopen.

Accepting adds a price through price_edits.py: it is in force from each worker's next request, and the prices that rated
old logs stay. Every decision is in the audit trail, with its actor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

from auditlog.diff import model_instance_diff
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from lib import retry
from providers import price_book, price_diff, price_edits, price_sync, proposed_rules, rulebook
from providers.costing import Rate
from providers.models import Price, PriceProposal, Provider
from providers.price_book import PriceBook

if TYPE_CHECKING:
    from django.contrib.auth.models import User

BATCH_SIZE = 200  # rows per SQL statement
STATE = PriceProposal.State


class DecisionResult(NamedTuple):
    """The proposals that were decided, and those left unchanged.

    `stale`: the book or another proposal changed; `unconfirmed`: they would drop rates, which nobody confirmed.
    """

    done: Sequence[PriceProposal]
    stale: Sequence[PriceProposal]
    unconfirmed: Sequence[PriceProposal] = ()


def dropped_rates(proposal: PriceProposal) -> list[Rate]:
    """Returns the rates of its base price that the proposed price lacks; none for one that ends the price.

    Prefetch `base__rates` to avoid queries.
    """
    if proposal.base is None or proposal.kind == PriceProposal.Kind.GONE:
        return []
    return price_diff.dropped(price_book.rates_of(proposal.base), proposal.proposed_rates)


@retry.atomic
def accept(ids: Collection[int], *, actor: User | None, at: datetime, drop_rates: bool = False) -> DecisionResult:
    """Creates a price from each open proposal. Leaves a proposal as it is if its base price has changed.

    Also leaves one whose price lacks rates of its base price, unless `drop_rates` says that they shall go. `actor` is
    None for a command.
    """
    locked = _lock(ids, STATE.OPEN)
    unconfirmed = [] if drop_rates else [proposal for proposal in locked if dropped_rates(proposal)]
    selected = _remaining(locked, unconfirmed)
    valid = list(_still_valid(selected, price_book.current(), at.date()))
    prices = list(_new_prices(valid))
    price_edits.add_revisions([(price, item.proposed_rates) for price, item in zip(prices, valid, strict=True)])
    for price, proposal in zip(prices, valid, strict=True):
        proposal.price = price
    _set_state(valid, STATE.ACCEPTED, actor, at)
    PriceProposal.objects.bulk_update(valid, ["price"], batch_size=BATCH_SIZE)
    entries = [
        _audit_entry(price, LogEntry.Action.CREATE, model_instance_diff(None, price), actor, at) for price in prices
    ]
    LogEntry.objects.bulk_create(entries, batch_size=BATCH_SIZE)
    return DecisionResult(valid, _remaining(selected, valid), unconfirmed)


@retry.atomic
def reject(ids: Collection[int], *, actor: User, at: datetime) -> DecisionResult:
    """Rejects the open proposals; the same statement is not proposed again."""
    selected = _lock(ids, STATE.OPEN)
    _set_state(selected, STATE.REJECTED, actor, at)
    return DecisionResult(selected, [])


@retry.atomic
def reopen(ids: Collection[int], *, actor: User, at: datetime) -> DecisionResult:
    """Reopens rejected proposals unless a newer open one is about the same model and date."""
    selected = _lock(ids, STATE.REJECTED)
    taken = set(PriceProposal.objects.filter(state=STATE.OPEN).values_list("open_key", flat=True))
    reopened = [proposal for proposal in selected if price_sync.open_key(proposal) not in taken]
    _set_state(reopened, STATE.OPEN, actor, at)
    for proposal in reopened:
        proposal.open_key = price_sync.open_key(proposal)
    PriceProposal.objects.bulk_update(reopened, ["open_key"], batch_size=BATCH_SIZE)
    return DecisionResult(reopened, _remaining(selected, reopened))


def _lock(ids: Collection[int], state: str) -> list[PriceProposal]:
    """Locks the proposals in that state, sorted by date. Providers are locked first, as in every edit of prices."""
    selected = PriceProposal.objects.filter(pk__in=ids, state=state)
    slugs = set(selected.order_by().values_list("provider", flat=True))
    list(Provider.objects.select_for_update().filter(slug__in=slugs).order_by("pk"))
    locked = selected.select_for_update().prefetch_related("base__rates").order_by("pk")
    return sorted(locked, key=lambda proposal: (proposal.valid_from, proposal.pk))


def _still_valid(selected: Iterable[PriceProposal], book: PriceBook, today: date) -> Iterator[PriceProposal]:
    """Yields the proposals whose base price is unchanged; if two sources price one model, only the first source's."""
    slugs = {proposal.provider for proposal in selected}
    accepted = PriceProposal.objects.filter(state=STATE.ACCEPTED, provider__in=slugs).order_by()
    source_of_price = {pk: source for pk, source in accepted.values_list("price_id", "source") if pk}
    chosen_source: dict[tuple[str, str], str] = {}
    for proposal in selected:
        if not _base_unchanged(proposal, book, today, source_of_price):
            continue
        if chosen_source.setdefault((proposal.provider, proposal.pattern), proposal.source) == proposal.source:
            yield proposal


def _base_unchanged(proposal: PriceProposal, book: PriceBook, today: date, source_of_price: dict[int, str]) -> bool:
    """Tells whether the base price is still in force, or an earlier price of the same dated list is."""
    entry = book.find_entry(proposal.provider, proposal.pattern, proposal.stated_from or today)
    if entry is None or entry.price.id == proposal.base_id:
        return entry is not None or proposal.base_id is None
    same_source = source_of_price.get(entry.price.id) == proposal.source
    return proposal.stated_from is not None and same_source and entry.price.valid_from < proposal.valid_from


def _new_prices(accepted: Sequence[PriceProposal]) -> Iterator[Price]:
    """Yields the prices of the proposals. Creates missing providers, and proposes detection rules for their hosts."""
    names = {proposal.provider: proposal.provider_name for proposal in accepted}
    providers = {
        slug: Provider.objects.get_or_create(slug=slug, defaults={"name": name}) for slug, name in names.items()
    }
    if new := {slug for slug, (_, created) in providers.items() if created}:
        rulebook.invalidate()
        hosts = ((item.provider, host) for item in accepted if item.provider in new for host in item.hosts)
        proposed_rules.propose(hosts, edition=accepted[0].edition)
    for proposal in accepted:
        base = proposal.base
        yield Price(
            provider=providers[proposal.provider][0],
            pattern=proposal.pattern,
            aliases=sorted({*proposal.aliases, *(base.aliases if base else ())}),
            category=proposal.category or (base.category if base else ""),
            valid_from=proposal.valid_from,
            source=proposal.edition,
            holds_for=base.holds_for if base else [],
        )


def _set_state(
    proposals: Sequence[PriceProposal], state: PriceProposal.State, actor: User | None, at: datetime
) -> None:
    """Sets the state of locked proposals and records it in the audit trail."""
    entries = []
    for proposal in proposals:
        changes = {"state": [proposal.state, state.value]}
        if proposal.price:
            changes["price"] = ["None", str(proposal.price.pk)]
        entries.append(_audit_entry(proposal, LogEntry.Action.UPDATE, changes, actor, at))
        proposal.state = state
    reopened = state == STATE.OPEN
    PriceProposal.objects.filter(pk__in=[proposal.pk for proposal in proposals]).update(
        state=state,
        open_key=None,
        decided_at=None if reopened else at,
        decided_by=None if reopened else actor,
    )
    LogEntry.objects.bulk_create(entries, batch_size=BATCH_SIZE)


def _audit_entry(
    subject: Price | PriceProposal, action: int, changes: dict[str, list[str]], actor: User | None, at: datetime
) -> LogEntry:
    """Builds a row of the audit trail, because bulk writes do not create one."""
    return LogEntry(
        content_type=ContentType.objects.get_for_model(subject),
        object_pk=str(subject.pk),
        object_id=subject.pk,
        object_repr=str(subject),
        action=action,
        changes=changes,
        actor=actor,
        actor_email=actor.email if actor else None,
        additional_data=None if actor else {"command": "sync_prices --accept"},
        timestamp=at,
    )


def _remaining(selected: Iterable[PriceProposal], done: Iterable[PriceProposal]) -> list[PriceProposal]:
    ids = {proposal.pk for proposal in done}
    return [proposal for proposal in selected if proposal.pk not in ids]
