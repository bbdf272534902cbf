"""Drift to inject into a ledger: how one row is changed behind the service's back, and which row the check must name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.models import Model

from billing.models import (
    Account,
    Archive,
    ClosedPeriod,
    CorrectionBatch,
    Statement,
    Subscription,
    SubscriptionEvent,
    UsageAdjustment,
    UsageLog,
    UsageReservation,
)

Key = tuple[Any, ...]
KEY_COLUMNS: dict[type[Model], tuple[str, ...]] = {
    UsageLog: ("id",),
    UsageAdjustment: ("id",),
    CorrectionBatch: ("id",),
    Account: ("id",),
    ClosedPeriod: ("account_id", "period"),
    Statement: ("account_id", "period"),
    Archive: ("account_id", "period"),
    Subscription: ("account_id",),
    SubscriptionEvent: ("id",),
    UsageReservation: ("id",),
}


class Drift(NamedTuple):
    """One kind of drift. `inject` changes rows and returns the key, or its start, of the row of `table` to be named."""

    name: str
    table: str
    inject: Callable[[], Key]


def change(model: type[Model], where: dict[str, Any], **values: Any) -> Key:
    """Changes columns of one row; returns its key before the change."""
    rows = model._base_manager.filter(**where)
    (key,) = rows.values_list(*KEY_COLUMNS[model])
    assert rows.update(**values) == 1
    return tuple(key)


def changing(model: type[Model], where: dict[str, Any], **values: Any) -> Callable[[], Key]:
    return lambda: change(model, where, **values)


def delete(model: type[Model], **where: Any) -> Key:
    """Deletes one row; returns its key."""
    rows = model._base_manager.filter(**where)
    (key,) = rows.values_list(*KEY_COLUMNS[model])
    assert rows._raw_delete(rows.db) == 1
    return tuple(key)


def log_changed(event_id: str, /, **values: Any) -> Callable[[], Key]:
    return changing(UsageLog, {"event_id": event_id}, **values)


def log_key(event_id: str) -> Key:
    return (UsageLog.objects.get(event_id=event_id).id,)


def account_id(external_id: str) -> int:
    return Account.objects.get(external_id=external_id).pk
