"""The one door by which usage enters. The HTTP views, imports and calls in process all end in `record`.

What comes back without an exception is committed. Order of locks: accounts that are made, logs, reservations, rollups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction

from billing.accounts import accounts
from billing.charges import rating
from billing.errors import Refused
from billing.events import events
from billing.events.events import Event
from billing.ledger import ledger, rollups
from billing.ledger.ledger import NewLog, StoredLog
from billing.ledger.quantities import Quantity
from billing.limits import reservations
from billing.limits.reservations import HeldReservation
from billing.models import Account, CostSource
from lib import ids, periods, postgres, retry

OLDEST = timedelta(days=35)
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from, and what it may do."""

    account: Account | None = None  # of a bound key or an import; None: each event names its own
    may_state_cost: bool = False
    may_create_accounts: bool = False
    any_age: bool = False  # imports
    live: bool = True  # counted by provider health


class Result(msgspec.Struct, gc=False):
    """What became of one event, in the order in which they came. Money is nano-USD."""

    event_id: str
    status: str = "rejected"  # accepted | duplicate | conflict | rejected
    log_id: bytes | None = None  # the 16 bytes of the log's id
    actual_provider: str | None = None
    confidence: str | None = None
    cost_nano: int | None = None
    priced: bool | None = None
    refused: Refused | None = None

    @property
    def id(self) -> UUID | None:
        return None if self.log_id is None else UUID(bytes=self.log_id)


class _Submission(msgspec.Struct, gc=False):
    """One event on its way: its account, and the log that it would make."""

    event: Event
    result: Result
    account_id: str
    event_key: bytes
    digest: bytes
    at: datetime
    account: accounts.Known | None = None
    key: ledger.Key | None = None  # under which it would be stored; None for an account that is yet to be made
    log: NewLog | None = None
    refused: Refused | None = None
    room: HeldReservation | None = None

    @property
    def named(self) -> reservations.Key | None:
        """The reservation that it settles, as the caller names it; an account that is yet to be made has none."""
        reservation_id = self.event.reservation_id
        return (self.account.id, ids.key_of(reservation_id)) if self.account and reservation_id else None


class TotalTooLarge(Exception):
    """A total would no longer fit into 64 bits of nano-dollars: the batch is refused whole."""


def record(batch: Sequence[Event | Refused], *, source: Source, at: datetime) -> list[Result]:
    """Store what is new, once; say of every event what became of it. One bad event spoils only itself.

    Raises TotalTooLarge, or the database's own errors: nothing was stored then.
    """
    results = [Result(event.event_id if isinstance(event, Event) else "") for event in batch]
    items = [item for event, result in zip(batch, results, strict=True) if (item := _admit(event, result, source, at))]
    known = accounts.known(item.account_id for item in items)
    for item in items:
        if account := known.get(item.account_id):
            item.account, item.key = account, (account.id, item.event_key)
    _find_rooms([item for item in items if item.event.reservation_id is not None])
    for item in items:
        item.refused = _check(item, source, at)
    fresh = _answer_repeats(items)
    if fresh:
        _rate(fresh, at)
    retry.on_deadlock(lambda: _store([item for item in fresh if item.log], source, at))
    return results


def _admit(event: Event | Refused, result: Result, source: Source, at: datetime) -> _Submission | None:
    """The event as an item, unless its form or its account is refused at once."""
    if isinstance(event, Refused):
        result.refused = event
        return None
    account_id = event.account if source.account is None else source.account.external_id
    if account_id is None:
        result.refused = Refused("required", "A service key says which account it means.", "account")
        return None
    if event.account not in (None, account_id):
        result.refused = _unknown_account()
        return None
    return _Submission(event, result, account_id, event.key, events.digest(event), event.occurred or at)


def _find_rooms(items: Sequence[_Submission]) -> None:
    rooms = reservations.rooms((item.account, item.named[1]) for item in items if item.account and item.named)
    for item in items:
        item.room = rooms.get(item.named) if item.named else None


def _check(item: _Submission, source: Source, at: datetime) -> Refused | None:
    """What speaks against a new event; a repeat of a stored one is a success all the same."""
    if item.account is None and not source.may_create_accounts:
        return _unknown_account()
    if item.event.reservation_id is not None and item.room is None:
        return Refused("unknown_reservation", "There is no such reservation.", "reservation_id")
    if item.event.cost_usd is not None and not source.may_state_cost:
        return Refused("not_allowed", "This key may not state costs.", "cost_usd")
    if not source.any_age and not at - OLDEST <= item.at <= at + AHEAD:
        return Refused("out_of_range", "More than 35 days ago, or more than 5 minutes ahead.", "occurred_at")
    return None


def _unknown_account() -> Refused:
    return Refused("unknown_account", "There is no such account.", "account")


def _answer_repeats(items: Sequence[_Submission]) -> list[_Submission]:
    """Answer what was acknowledged once, also where it would be refused now, and what is refused; the rest is fresh.

    A repeat among fresh events is found when it is inserted; a batch that looks like one sent again is looked up here.
    """
    archives = _archives(items)
    again = ledger.looks_repeated([item.key for item in items if item.key], archives)
    found = ledger.stored((item.key for item in items if item.key and (again or item.refused)), archives)
    fresh = []
    for item in items:
        log = found.get(item.key) if item.key else None
        if log and (item.refused or not item.room):  # a repeat, too, frees the room that it names
            _answer_duplicate(item, log)
        elif item.refused:
            item.result.refused = item.refused
        else:
            fresh.append(item)
    return fresh


def _archives(items: Sequence[_Submission]) -> set[int]:
    """The accounts among these of which some logs are in files."""
    return {item.account.id for item in items if item.account and item.account.has_archive}


def _rate(items: Sequence[_Submission], at: datetime) -> None:
    """Say of each what it is worth, by one edition of the books."""
    edition = rating.snapshot()
    for item, log_id in zip(items, ids.new_ids(len(items)), strict=True):
        try:
            item.log = _log(item, rating.rate(item.event, item.at, edition), log_id, at)
        except Refused as refused:
            item.result.refused = refused


def _store(items: Sequence[_Submission], source: Source, at: datetime) -> None:
    """The one transaction. It may run more than once: it sets what it finds, and adds to nothing in memory."""
    if not items:
        return
    with transaction.atomic():
        _settle_accounts(items, at)
        first = _first_of_each(items)
        found = ledger.insert(first, _archives(items))
        accepted = [log for key, log in first.items() if found[key].id == log.id]
        totals, named = rollups.group(accepted), [item for item in items if item.room]
        try:
            with postgres.one_trip(connection) if named else nullcontext():
                _settle(named, found, at)
                rollups.apply(totals, live=accepted if source.live else ())
        except (DataError, IntegrityError) as error:
            raise TotalTooLarge from error
    for item in items:
        _answer(item, found[ledger.key_of(_log_of(item))])


def _settle_accounts(items: Sequence[_Submission], at: datetime) -> None:
    """Make the accounts that are missing, and say for every log whose it is and where it counts."""
    missing = {item.account_id for item in items if item.account is None}
    made = accounts.ensure(missing, at=at) if missing else {}
    grace = timedelta(hours=settings.CLOSE_GRACE_HOURS)
    for item in items:
        account = item.account or made[item.account_id]
        log = _log_of(item)
        place = periods.place(
            account.schedule, log.timestamp, log.received_at, billed_from=account.billed_from, grace=grace
        )
        log.account_id = account.id
        log.usage_day, log.usage_period, log.late_for = place.day, place.period, place.late_for


def _settle(items: Sequence[_Submission], found: Mapping[ledger.Key, StoredLog], at: datetime) -> None:
    """Free the room that events name, with what is new under it; an event that is refused frees none."""
    used: dict[reservations.Key, list[Quantity]] = {}
    for item in items:
        log = _log_of(item)
        standing = found[ledger.key_of(log)]
        if item.named and standing.digest == item.digest:
            new = [rollups.quantity_of(log)] if standing.id == log.id else []
            used.setdefault(item.named, []).extend(new)
    reservations.settle(used, {item.named: item.room for item in items if item.named and item.room}, at)


def _first_of_each(items: Sequence[_Submission]) -> dict[ledger.Key, NewLog]:
    """Of equal ids in one batch the lowest index wins."""
    first: dict[ledger.Key, NewLog] = {}
    for item in items:
        log = _log_of(item)
        first.setdefault(ledger.key_of(log), log)
    return first


def _log_of(item: _Submission) -> NewLog:
    if item.log is None:
        raise LookupError("an event without a log is not stored")
    return item.log


def _answer(item: _Submission, log: StoredLog) -> None:
    if log.id == _log_of(item).id:
        _answer_accepted(item.result, "accepted", log)
    else:
        _answer_duplicate(item, log)


def _answer_duplicate(item: _Submission, log: StoredLog) -> None:
    if log.digest == item.digest:
        _answer_accepted(item.result, "duplicate", log)
        return
    item.result.status, item.result.log_id = "conflict", log.id
    item.result.refused = Refused(
        "event_conflict", "This id is stored with other content; the first is kept.", "event_id"
    )


def _answer_accepted(result: Result, status: str, log: StoredLog) -> None:
    """The first result, also to a repeat: as it was rated when it was accepted."""
    result.status, result.log_id = status, log.id
    result.actual_provider, result.confidence = log.shown_provider, log.shown_confidence
    result.priced = log.cost_source != CostSource.UNPRICED.value
    result.cost_nano = log.cost_total if result.priced else None


def _log(item: _Submission, rated: rating.Rated, log_id: bytes, at: datetime) -> NewLog:
    """The row; whose it is and where it counts is said inside the transaction."""
    event, usage, cost = item.event, item.event.usage, rated.cost
    return NewLog(
        kind=rated.kind,
        id=log_id,
        event_id=event.event_id,
        event_key=item.event_key,
        digest=item.digest,
        tokens_input=usage.input_tokens,
        tokens_output=usage.output_tokens,
        tokens_total=rated.tokens_total,
        tokens_cached=usage.cached_input_tokens,
        tokens_cache_write=usage.cache_write_tokens,
        units=rating.units_stored(usage),
        cost_input=cost.input_nano,
        cost_output=cost.output_nano,
        cost_other=cost.other_nano,
        cost_total=cost.total_nano,
        price_id=rated.price.id if rated.price else None,
        cost_source=rated.source,
        response_time_ms=event.response_time_ms,
        status_code=event.status_code,
        error_message=event.error_message,
        retry_count=event.retry_count,
        request_bytes=event.request_bytes,
        response_bytes=event.response_bytes,
        user_agent=event.user_agent,
        ip_address=event.ip_address or "",
        timestamp=item.at,
        received_at=at,
        metadata=event.metadata,
        is_billable=rated.billable,
        effective_nano=cost.total_nano,
        is_priced=rated.source != CostSource.UNPRICED.value,
    )
