"""The only write path for usage events.

When `record` returns, the events are committed. Each attempt reads the clock and the accounts again and ends within
MAX_TRANSACTION, so no event is committed into a period that was closed in the meantime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfoNotFoundError

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.accounts import accounts
from billing.accounts.accounts import AccountRow
from billing.charges import rating
from billing.errors import Refused
from billing.events import event_responses, events, unread_fields, usage_parts
from billing.events.events import Event
from billing.ledger import ledger, rollups
from billing.ledger.ledger import NewLog, StoredLog
from billing.ledger.quantities import Quantity
from billing.ledger.rollups import TotalTooLarge
from billing.limits import limits, reservations
from billing.limits.reservations import HeldReservation
from billing.models import Account, CostSource, UnpricedReason
from billing.recording import period_maximum, unknown_usage
from lib import ids, periods, postgres, retry
from lib.periods import PeriodPlacement

MAX_AGE = timedelta(days=35)
MIN_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # of imported events; before it, a unit or an epoch was misread
MAX_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class EventSource:
    """Where events come from, and what their sender may do."""

    account: Account | None = None  # None: each event names its account
    may_state_cost: bool = False
    may_create_accounts: bool = False
    any_age: bool = False  # as imports need; from MIN_TIME on
    live: bool = True  # counts for provider health
    vendor_answered: bool = True  # False: no vendor did, so an aborted call used nothing


class Result(msgspec.Struct, gc=False):
    """The outcome of one event."""

    event_id: str
    status: str = "rejected"  # accepted | duplicate | conflict | rejected
    log_id: bytes | None = None  # UUID bytes
    actual_provider: str | None = None
    confidence: str | None = None
    cost_nano: int | None = None
    priced: bool | None = None
    usage_state: str | None = None
    unpriced_reason: str | None = None
    refused: Refused | None = None

    @property
    def id(self) -> UUID | None:
        return None if self.log_id is None else UUID(bytes=self.log_id)


class _Submission(msgspec.Struct, gc=False):
    """One event being recorded, its account, and the log built from it."""

    event: Event
    result: Result
    account_id: str
    event_key: bytes
    digest: bytes
    at: datetime
    account: AccountRow | None = None
    key: ledger.Key | None = None  # None where the account does not exist yet
    log: NewLog | None = None
    refused: Refused | None = None
    reservation: HeldReservation | None = None

    @property
    def reservation_key(self) -> reservations.ReservationKey | None:
        """Key of the reservation that the event settles; None where there is none or the account is new."""
        reservation_id = self.event.reservation_id
        return (self.account.id, ids.lookup_key(reservation_id)) if self.account and reservation_id else None


def record(batch: Sequence[Event | Refused], *, source: EventSource, at: datetime) -> list[Result]:
    """Store each new event once. Returns one Result per event, in order; a refused event does not affect the others.

    `at` is the time of this call. Each attempt adds the time that has passed since, so that `received_at` is at most
    MAX_TRANSACTION before the commit. Within a transaction of the caller's, only the caller can bound that.

    Raises TotalTooLarge, where an account's total would exceed 64 bits, or a database error; nothing is stored then.
    """
    lag, too_large = at - timezone.now(), TotalTooLarge()
    for slot in rollups.random_slots():
        try:
            return retry.on_deadlock(partial(_attempt, batch, source, lag, slot))
        except TotalTooLarge as error:
            too_large = error
    raise too_large


def _attempt(batch: Sequence[Event | Refused], source: EventSource, lag: timedelta, slot: int) -> list[Result]:
    """One attempt to record, with its own reading of the clock (to which it adds `lag`) and of the accounts."""
    begun = timezone.now()
    at = begun + lag
    results = [Result(event.event_id if isinstance(event, Event) else "") for event in batch]
    items = [item for event, result in zip(batch, results, strict=True) if (item := _admit(event, result, source, at))]
    account_rows = accounts.find_rows(item.account_id for item in items)
    for item in items:
        if account := account_rows.get(item.account_id):
            item.account, item.key = account, (account.id, item.event_key)
    _load_reservations([item for item in items if item.event.reservation_id is not None])
    for item in items:
        item.refused = _refusal(item, source, at)
    fresh = _answer_duplicates(items)
    if fresh:
        _rate(fresh, source, at)
    _store([item for item in fresh if item.log], source, slot=slot, at=at, begun=begun)
    return results


def _admit(event: Event | Refused, result: Result, source: EventSource, at: datetime) -> _Submission | None:
    """The event as a submission; None where its form or account is refused."""
    if isinstance(event, Refused):
        result.refused = event
        return None
    account_id = event.account if source.account is None else source.account.external_id
    if account_id is None:
        result.refused = Refused("required", "Name the account that this event is for.", "account")
        return None
    if event.account not in (None, account_id):
        result.refused = _unknown_account()
        return None
    return _Submission(event, result, account_id, event.key, events.digest(event), event.occurred or at)


def _load_reservations(items: Sequence[_Submission]) -> None:
    keys = ((item.account, item.reservation_key[1]) for item in items if item.account and item.reservation_key)
    held = reservations.load_held(keys)
    for item in items:
        item.reservation = held.get(item.reservation_key) if item.reservation_key else None


def _refusal(item: _Submission, source: EventSource, at: datetime) -> Refused | None:
    """Why a new event is refused; a duplicate of a stored event is accepted all the same."""
    if item.account is None and not source.may_create_accounts:
        return _unknown_account()
    if item.event.reservation_id is not None and item.reservation is None:
        return Refused("unknown_reservation", "There is no such reservation.", "reservation_id")
    if item.event.cost_usd is not None and not source.may_state_cost:
        return Refused("not_allowed", "This key may not send costs.", "cost_usd")
    try:
        usage_parts.check(item.event)
    except Refused as refused:
        return refused
    earliest, limit = (MIN_TIME, "before the year 2000") if source.any_age else (at - MAX_AGE, "more than 35 days ago")
    if not earliest <= item.at <= at + MAX_CLOCK_SKEW:
        return Refused("out_of_range", f"The time must not be {limit} or more than 5 minutes ahead.", "occurred_at")
    return None


def _unknown_account() -> Refused:
    return Refused("unknown_account", "There is no such account.", "account")


def _answer_duplicates(items: Sequence[_Submission]) -> list[_Submission]:
    """Answer duplicates, including those that would be refused today, and refused events. Returns the others.

    Duplicates are looked up only where a sample suggests that the batch was sent before; the insert finds all others.
    """
    archives = _accounts_with_archives(items)
    resent = ledger.sample_is_stored([item.key for item in items if item.key], archives)
    stored = ledger.find_stored((item.key for item in items if item.key and (resent or item.refused)), archives)
    fresh = []
    for item in items:
        log = stored.get(item.key) if item.key else None
        if log and (item.refused or not item.reservation):  # a duplicate with a reservation has to settle it
            _answer_duplicate(item, log)
        elif item.refused:
            item.result.refused = item.refused
        else:
            fresh.append(item)
    return fresh


def _accounts_with_archives(items: Sequence[_Submission]) -> set[int]:
    """Ids of the accounts that have archived logs."""
    return {item.account.id for item in items if item.account and item.account.has_archive}


def _rate(items: Sequence[_Submission], source: EventSource, at: datetime) -> None:
    """Rate all events by one snapshot of rules and prices."""
    snapshot = rating.snapshot()
    for item, log_id in zip(items, ids.new_ids(len(items)), strict=True):
        if item.event.response is not None:
            item.event = unread_fields.apply(item.event, snapshot.decisions)
        try:
            aborted = unknown_usage.is_aborted(item.event, answered=source.vendor_answered)
            rated = rating.rate(
                item.event,
                item.at,
                snapshot,
                reading=item.event.reading,
                may_state_cost=source.may_state_cost,
                aborted=aborted,
            )
            rated = unknown_usage.with_usage_state(item.event, rated, item.reservation, aborted=aborted)
            item.log = _build_log(item, rated, log_id, at)
        except Refused as refused:
            item.result.refused = refused


def _store(items: Sequence[_Submission], source: EventSource, *, slot: int, at: datetime, begun: datetime) -> None:
    """Store the logs in one transaction. Lock order: new accounts, logs, reservations, rollups."""
    if not items:
        return
    with transaction.atomic():
        items = _within_period_maximum(_assign_accounts(items, at))
        logs = _first_by_key(items)
        stored = ledger.insert(logs, _accounts_with_archives(items))
        accepted = [log for key, log in logs.items() if stored[key].id == log.id]
        totals, settling = rollups.totals_by_rollup(accepted), [item for item in items if item.reservation]
        with rollups.overflow_as_total_too_large(), postgres.pipeline(connection) if settling else nullcontext():
            _settle_reservations(settling, stored, at)
            rollups.add(totals, slot, live=accepted if source.live else ())
        retry.check_duration(begun)
    for item in items:
        _answer(item, stored[ledger.key_of(_required_log(item))])


def _assign_accounts(items: Sequence[_Submission], at: datetime) -> list[_Submission]:
    """Create missing accounts, and set each log's account, usage day and period. Returns the items that have them."""
    missing = {item.account_id for item in items if item.account is None}
    created = accounts.ensure(missing, at=at) if missing else {}
    grace = timedelta(hours=settings.CLOSE_GRACE_HOURS)
    assigned = []
    for item in items:
        account = item.account or created[item.account_id]
        try:
            _place(_required_log(item), account, item.reservation, grace)
        except ZoneInfoNotFoundError:
            item.result.refused = _unknown_timezone(account)
        else:
            assigned.append(item)
    return assigned


def _place(log: NewLog, account: AccountRow, reservation: HeldReservation | None, grace: timedelta) -> None:
    """Set the log's account, day and period.

    Usage that settles a live reservation counts where that was granted, if that period is open: its room is taken there.
    `counts_at` is set only where the call's own time would have led to another day or period.
    """
    place = _place_at(log.timestamp, log.received_at, account, grace)
    if reservation and reservation.is_live(log.received_at):
        granted = _place_at(reservation.created_at, log.received_at, account, grace)
        if granted.late_for is None and granted != place:
            place, log.counts_at = granted, reservation.created_at
    log.account_id = account.id
    log.usage_day, log.usage_period, log.late_for = place.day, place.period, place.late_for


def _place_at(at: datetime, received_at: datetime, account: AccountRow, grace: timedelta) -> PeriodPlacement:
    return periods.place_event(
        account.schedule,
        at,
        received_at,
        billed_from=account.billed_from,
        grace=grace,
        closed_before=account.closed_before,
    )


def _within_period_maximum(items: Sequence[_Submission]) -> Sequence[_Submission]:
    """Refuse the items that would bring their account's period above the maximum. Returns the others."""
    exceeding = period_maximum.find_exceeding([_required_log(item) for item in items], _accounts_with_archives(items))
    for item in items if exceeding else ():
        if _required_log(item).id in exceeding:
            attr = "usage" if item.event.cost_usd is None else "cost_usd"
            item.result.refused = Refused("max_value", limits.PERIOD_MAXIMUM_DETAIL, attr)
    return [item for item in items if item.result.refused is None] if exceeding else items


def _unknown_timezone(account: AccountRow) -> Refused:
    detail = f"This server does not know the account's time zone {account.timezone!r}, so its usage can't be recorded."
    return Refused("unknown_timezone", detail, "account")


def _settle_reservations(items: Sequence[_Submission], stored: Mapping[ledger.Key, StoredLog], at: datetime) -> None:
    """Settle reservations with the newly stored usage; an event in conflict with a stored one settles nothing."""
    used: dict[reservations.ReservationKey, list[Quantity]] = {}
    for item in items:
        log = _required_log(item)
        stored_log = stored[ledger.key_of(log)]
        if item.reservation_key and stored_log.digest == item.digest:
            new = [rollups.quantity_of(log)] if stored_log.id == log.id else []
            used.setdefault(item.reservation_key, []).extend(new)
    held = {item.reservation_key: item.reservation for item in items if item.reservation_key and item.reservation}
    reservations.settle(used, held, at)


def _first_by_key(items: Sequence[_Submission]) -> dict[ledger.Key, NewLog]:
    """The logs by key; of equal event ids in one batch, the first wins."""
    logs: dict[ledger.Key, NewLog] = {}
    for item in items:
        log = _required_log(item)
        logs.setdefault(ledger.key_of(log), log)
    return logs


def _required_log(item: _Submission) -> NewLog:
    if item.log is None:
        raise LookupError("The event has no log yet.")
    return item.log


def _answer(item: _Submission, log: StoredLog) -> None:
    if log.id == _required_log(item).id:
        _answer_accepted(item.result, "accepted", log)
    else:
        _answer_duplicate(item, log)


def _answer_duplicate(item: _Submission, log: StoredLog) -> None:
    if log.digest == item.digest:
        _answer_accepted(item.result, "duplicate", log)
        return
    item.result.status, item.result.log_id = "conflict", log.id
    item.result.refused = Refused(
        "event_conflict", "This event_id is stored with different content; the stored event is kept.", "event_id"
    )


def _answer_accepted(result: Result, status: str, log: StoredLog) -> None:
    """The result as rated when the event was first accepted, for a duplicate as well."""
    result.status, result.log_id = status, log.id
    result.actual_provider, result.confidence = log.display_provider, log.display_confidence
    result.priced = log.cost_source != CostSource.UNPRICED.value
    result.cost_nano = log.cost_total if result.priced else None
    result.usage_state = log.usage_state
    if not result.priced:  # a log that got a price later has no reason any more
        result.unpriced_reason = log.unpriced_reason or UnpricedReason.PRICE_UNKNOWN.value


def _build_log(item: _Submission, rated: rating.RatedEvent, log_id: bytes, at: datetime) -> NewLog:
    """The log's columns, without account, usage day and period: the transaction sets these."""
    event, usage, cost = item.event, item.event.usage, rated.cost
    return NewLog(
        profile=rated.profile,
        id=log_id,
        event_id=event.event_id,
        event_key=item.event_key,
        digest=item.digest,
        tokens_input=usage.input_tokens,
        tokens_output=usage.output_tokens,
        tokens_total=rated.tokens_total,
        tokens_cached=usage.cached_input_tokens,
        tokens_cache_write=usage.cache_write_tokens,
        units=rating.stored_units(usage),
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
        unpriced_reason=rated.unpriced_reason,
        usage_state=rated.usage_state,
        calls=max(usage.requests, 1),
        reading=event_responses.as_json(event.reading) if event.reading else None,
    )
