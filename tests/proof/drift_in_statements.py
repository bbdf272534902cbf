"""Kinds of drift in accounts, closed periods, statements, subscriptions, overrides and reservations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import F

from billing.models import (
    Account,
    ClosedPeriod,
    EndedOverride,
    LimitOverride,
    Statement,
    Subscription,
    SubscriptionEvent,
    UsageHold,
    UsageReservation,
)
from lib import ids
from tests.proof.drifts import Drift, Key, account_id, change, changing, delete

ACCOUNTS, CLOSED, STATEMENTS = "accounts", "closed_periods", "statements"
SUBSCRIPTIONS, EVENTS, RESERVATIONS = "subscriptions", "subscription_events", "usage_reservations"
OTHER_ID = UUID("01900000-0000-7000-8000-000000000001")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 12, 1, tzinfo=UTC)
LAST = date(2026, 11, 15)  # the last closed period of Paris


def account_changed(name: str, /, **values: Any) -> Any:
    return changing(Account, {"external_id": name}, **values)


def _moved_schedule(**values: Any) -> Key:
    change(Account, {"external_id": "paris"}, **values)
    return (account_id("paris"),)


def _move_zone() -> Key:
    change(Account, {"external_id": "paris"}, timezone="Asia/Tokyo")
    return ()


def _forget_schedules() -> Key:
    change(Account, {"external_id": "tokyo"}, earlier_schedules="")
    return (account_id("tokyo"),)


ACCOUNT_DRIFTS = (
    Drift("key of an account", ACCOUNTS, account_changed("paris", external_key=OTHER_ID)),
    Drift("id of an account", ACCOUNTS, account_changed("paris", external_id="paris2")),
    Drift("end of the closed days", ACCOUNTS, account_changed("paris", closed_before=date(2026, 11, 15))),
    Drift(
        "next closing years ahead", ACCOUNTS, account_changed("paris", next_close_at=datetime(2030, 1, 1, tzinfo=UTC))
    ),
    Drift("first billed day", CLOSED, partial(_moved_schedule, billed_from=date(2026, 6, 1))),
    Drift("anchor day", CLOSED, partial(_moved_schedule, anchor_day=16)),
    Drift("time zone", "api_usage_logs", _move_zone),
    Drift("earlier schedules", CLOSED, _forget_schedules),
)


def close_of(period: date) -> dict[str, Any]:
    return {"account_id": account_id("paris"), "period": period}


def _delete_close(period: date) -> Key:
    return delete(ClosedPeriod, **close_of(period))


def _delete_close_without_statement() -> Key:
    return delete(ClosedPeriod, account_id=account_id("old"), period=date(2026, 9, 1))


def _delete_last_close_without_statement() -> Key:
    return delete(ClosedPeriod, account_id=account_id("old"), period=date(2026, 11, 1))[:1]


def _invent_close(account: int, period: date, closed_at: datetime = AT) -> Key:
    ClosedPeriod.objects.create(account_id=account, period=period, closed_at=closed_at)
    return account, period


CLOSING_DRIFTS = (
    Drift("deleted first closed period", CLOSED, partial(_delete_close, date(2026, 8, 15))),
    Drift("deleted closed period", CLOSED, partial(_delete_close, date(2026, 10, 15))),
    Drift("deleted last closed period", STATEMENTS, partial(_delete_close, LAST)),
    Drift("deleted empty closed period", CLOSED, _delete_close_without_statement),
    Drift("deleted last, empty closed period", ACCOUNTS, _delete_last_close_without_statement),
    Drift("invented close of the open period", CLOSED, lambda: _invent_close(account_id("paris"), date(2026, 12, 15))),
    Drift("invented close of no period", CLOSED, lambda: _invent_close(account_id("paris"), date(2026, 11, 20))),
    Drift("invented close of a later period", CLOSED, lambda: _invent_close(account_id("paris"), date(2027, 2, 15))),
    Drift("invented close before billing began", CLOSED, lambda: _invent_close(account_id("paris"), date(2026, 7, 15))),
    Drift("closed period of no account", CLOSED, lambda: _invent_close(10**9, date(2026, 9, 1))),
    Drift("closed before its end", CLOSED, lambda: change(ClosedPeriod, close_of(LAST), closed_at=AT)),
)


def _statement(period: str = "2026-10-15") -> dict[str, Any]:
    return {"account_id": account_id("paris"), "period": date.fromisoformat(period)}


def statement_changed(period: str = "2026-10-15", /, **values: Any) -> Any:
    return lambda: change(Statement, _statement(period), **values)


def _change_line(column: str, name: str, value: object) -> Key:
    lines = getattr(Statement.objects.get(**_statement()), column)
    lines[0] = lines[0] | {name: value}
    return change(Statement, _statement(), **{column: lines})


def _delete_statement(period: str) -> Key:
    return delete(Statement, **_statement(period))


def _invent_statement() -> Key:
    statement = Statement.objects.get(**_statement())
    statement.pk, statement.period = ids.new_id(), date(2026, 12, 15)
    statement.save(force_insert=True)
    return account_id("paris"), statement.period


def _shift_total() -> Key:
    """A dollar more in the total, in its cents, and in a line."""
    lines = Statement.objects.get(**_statement()).lines
    lines[0] = lines[0] | {"nano": lines[0]["nano"] + 10**9, "cents": lines[0]["cents"] + 100}
    return change(
        Statement,
        _statement(),
        lines=lines,
        fee_nano=F("fee_nano") + 10**9,
        total_nano=F("total_nano") + 10**9,
        total_cents=F("total_cents") + 100,
    )


PAID = "2026-09-15"
STATEMENT_DRIFTS = (
    Drift("deleted statement", STATEMENTS, partial(_delete_statement, "2026-10-15")),
    Drift("deleted last statement", STATEMENTS, partial(_delete_statement, "2026-11-15")),
    Drift("invented statement of an open period", STATEMENTS, _invent_statement),
    Drift("statement without anything due", STATEMENTS, statement_changed(state="nothing_due")),
    Drift("statement marked as paid", STATEMENTS, statement_changed(state="paid")),
    Drift("paid statement marked as open", STATEMENTS, statement_changed(PAID, state="open")),
    Drift("time of payment removed", STATEMENTS, statement_changed(PAID, paid_at=None)),
    Drift("paid before it was closed", STATEMENTS, statement_changed(PAID, paid_at=F("closed_at") - HOUR)),
    Drift("payer of an unpaid statement", STATEMENTS, statement_changed(paid_by="bob")),
    Drift("due date removed", STATEMENTS, statement_changed(due_at=None)),
    Drift("due date moved by an hour", STATEMENTS, statement_changed(due_at=F("due_at") + HOUR)),
    Drift("time of closing", STATEMENTS, statement_changed(closed_at=F("closed_at") + DAY, due_at=F("due_at") + DAY)),
    Drift("end of its period", STATEMENTS, statement_changed(period_end=date(2026, 11, 16))),
    Drift("total in cents", STATEMENTS, statement_changed(total_cents=F("total_cents") - 1)),
    Drift("total", STATEMENTS, statement_changed(total_nano=F("total_nano") - 1)),
    Drift("fee of a statement", STATEMENTS, statement_changed(fee_nano=F("fee_nano") - 1)),
    Drift("fee, line and total together", STATEMENTS, _shift_total),
    Drift("overage", STATEMENTS, statement_changed("2026-09-15", overage_nano=F("overage_nano") - 1)),
    Drift("corrections", STATEMENTS, statement_changed(adjustments_nano=F("adjustments_nano") - 1)),
    Drift("calls of a statement", STATEMENTS, statement_changed(calls=F("calls") + 1)),
    Drift("usage of a statement", STATEMENTS, statement_changed(usage_nano=F("usage_nano") + 1)),
    Drift("text of a line", STATEMENTS, partial(_change_line, "lines", "text", "Discount")),
    Drift("amount of a line", STATEMENTS, partial(_change_line, "lines", "nano", 1)),
    Drift("cents of a line", STATEMENTS, partial(_change_line, "lines", "cents", 1)),
    Drift("line of usage by provider", STATEMENTS, partial(_change_line, "usage", "calls", 7)),
)


def _event(kind: str = "upgraded") -> SubscriptionEvent:
    return SubscriptionEvent.objects.get(account_id=account_id("paris"), kind=kind)


def event_changed(kind: str = "upgraded", /, **values: Any) -> Any:
    return lambda: change(SubscriptionEvent, {"id": _event(kind).id}, **values)


def _change_fee_line(name: str, value: object) -> Key:
    lines = _event().fee_lines
    lines[0] = lines[0] | {name: value}
    return change(SubscriptionEvent, {"id": _event().id}, fee_lines=lines)


def _shift_fee() -> Key:
    """A dollar more in the fee and in its line."""
    lines = _event().fee_lines
    lines[0] = lines[0] | {"nano": lines[0]["nano"] + 10**9}
    return change(SubscriptionEvent, {"id": _event().id}, fee_lines=lines, fee_nano=F("fee_nano") + 10**9)


def _delete_event(kind: str) -> Key:
    delete(SubscriptionEvent, id=_event(kind).id)
    return (account_id("paris"),)


def _bill_elsewhere() -> Key:
    """A fee moved to another period: the statement of its own period loses it."""
    change(SubscriptionEvent, {"id": _event().id}, billed_in=date(2026, 12, 15))
    return account_id("paris"), date(2026, 10, 15)


def subscription_changed(**values: Any) -> Any:
    return lambda: change(Subscription, {"account_id": account_id("paris")}, **values)


SUBSCRIPTION_DRIFTS = (
    Drift("fee of an event", EVENTS, event_changed(fee_nano=F("fee_nano") + 1)),
    Drift("fee and line of an event", EVENTS, _shift_fee),
    Drift("amount of a fee line", EVENTS, partial(_change_fee_line, "nano", 1)),
    Drift("days of a fee line", EVENTS, partial(_change_fee_line, "end", "2026-01-30")),
    Drift("price of a fee line", EVENTS, partial(_change_fee_line, "price_nano", 1)),
    Drift("fee billed on another day", EVENTS, event_changed(billed_in=date(2026, 10, 16))),
    Drift("fee billed in another period", STATEMENTS, _bill_elsewhere),
    Drift("deleted event with a fee", STATEMENTS, lambda: (*_delete_event("upgraded"), date(2026, 10, 15))),
    Drift("deleted last event", SUBSCRIPTIONS, lambda: _delete_event("cancel_planned")),
    Drift("status of an event", EVENTS, event_changed("subscribed", status="cancelled")),
    Drift("plan that does not exist", EVENTS, event_changed(plan_id=10**6)),
    Drift("deleted subscription", SUBSCRIPTIONS, lambda: delete(Subscription, account_id=account_id("paris"))),
    Drift("plan of a subscription", SUBSCRIPTIONS, subscription_changed(plan_id=F("plan_id") - 1)),
    Drift("cycle of a subscription", SUBSCRIPTIONS, subscription_changed(cycle="yearly")),
    Drift("status of a subscription", SUBSCRIPTIONS, subscription_changed(status="suspended")),
    Drift("renewal after a cancellation", SUBSCRIPTIONS, subscription_changed(auto_renew=True)),
    Drift("end of a paid cycle", SUBSCRIPTIONS, subscription_changed(period_end=date(2027, 12, 15))),
    Drift("time of renewal", SUBSCRIPTIONS, subscription_changed(renews_at=F("renews_at") + DAY)),
    Drift("planned change", SUBSCRIPTIONS, subscription_changed(pending_plan_id=F("plan_id"), pending_cycle="monthly")),
    Drift("grace", SUBSCRIPTIONS, subscription_changed(grace_until=AT)),
)


def _overlap() -> Key:
    override = LimitOverride.objects.get(reason="more")
    LimitOverride.objects.filter(pk=override.pk).update(since=datetime(2026, 12, 7, tzinfo=UTC))
    return (override.pk,)


def _swap_times() -> Key:
    ended = EndedOverride.objects.get()
    EndedOverride.objects.filter(pk=ended.pk).update(since=ended.until + timedelta(days=1))
    return (ended.pk,)


OVERRIDE_DRIFTS = (
    Drift("two overrides at a time", "limit_overrides", _overlap),
    Drift("override that ended before it began", "ended_overrides", _swap_times),
)


def reservation_changed(name: str, /, **values: Any) -> Any:
    return changing(UsageReservation, {"reservation_id": name}, **values)


def _delete_reservation() -> Key:
    (id_,) = delete(UsageReservation, reservation_id="held")
    return account_id("tokyo"), id_


def _holds(name: str) -> Any:
    return UsageHold.objects.filter(reservation__reservation_id=name)


def _change_hold(**values: Any) -> Key:
    holds = _holds("held")
    (key,) = holds.values_list("reservation_id")
    holds.update(**values)
    return tuple(key)


def _delete_hold() -> Key:
    (key,) = _holds("settled").values_list("reservation_id")
    UsageHold.objects.filter(reservation_id=key[0]).delete()
    return tuple(key)


RESERVATION_DRIFTS = (
    Drift("held reservation with a decision", RESERVATIONS, reservation_changed("held", decided_at=AT)),
    Drift("held reservation settled", RESERVATIONS, reservation_changed("held", state="settled")),
    Drift("settled reservation held again", RESERVATIONS, reservation_changed("settled", state="held")),
    Drift("reservation expired too early", RESERVATIONS, reservation_changed("settled", state="expired")),
    Drift("release after the end", RESERVATIONS, reservation_changed("released", decided_at=F("expires_at") + HOUR)),
    Drift("reservation that ends before it begins", RESERVATIONS, reservation_changed("held", expires_at=AT)),
    Drift("held reservation over its amount", RESERVATIONS, reservation_changed("held", over=True)),
    Drift("key of a reservation", RESERVATIONS, reservation_changed("held", reservation_key=OTHER_ID)),
    Drift("id of a reservation", RESERVATIONS, reservation_changed("held", reservation_id="other")),
    Drift("period of a reservation", RESERVATIONS, reservation_changed("held", period=date(2026, 12, 1))),
    Drift("calls of a hold", RESERVATIONS, lambda: _change_hold(calls=1)),
    Drift("cost of a hold", RESERVATIONS, lambda: _change_hold(cost_nano=F("cost_nano") - 1)),
    Drift("deleted holds", RESERVATIONS, _delete_hold),
    Drift("deleted reservation", "usage_holds", _delete_reservation),
)

DRIFTS = (
    *ACCOUNT_DRIFTS,
    *CLOSING_DRIFTS,
    *STATEMENT_DRIFTS,
    *SUBSCRIPTION_DRIFTS,
    *OVERRIDE_DRIFTS,
    *RESERVATION_DRIFTS,
)
