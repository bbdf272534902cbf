"""Fills `accounts.closed_before` and `subscriptions.charged_until` from closed periods and fee events.

Batches of accounts, and only rows that are still NULL: killed at any moment and run again, it continues where it stopped.
The reverse does nothing: the reverse of 0018 drops the columns.
"""

import json
from calendar import monthrange
from collections.abc import Callable
from datetime import date
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH_SIZE = 500  # accounts per transaction

Row = Any  # an instance of a historical model


def forwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    _fill(apps, alias, "Account", "closed_before", _closed_before)
    _fill(apps, alias, "Subscription", "charged_until", _charged_until)


def _fill(apps: Apps, alias: str, model: str, column: str, value_of: Callable[[Apps, str, Row], date | None]) -> None:
    rows = apps.get_model("billing", model).objects.using(alias).filter(**{column: None}).order_by("pk")
    after = 0
    while page := list(rows.filter(pk__gt=after)[:BATCH_SIZE]):
        with transaction.atomic(using=alias):
            for row in page:
                value = value_of(apps, alias, row)
                if value is not None:
                    type(row).objects.using(alias).filter(pk=row.pk, **{column: None}).update(**{column: value})
        after = page[-1].pk


def _closed_before(apps: Apps, alias: str, account: Row) -> date | None:
    closed = apps.get_model("billing", "ClosedPeriod").objects.using(alias).filter(account_id=account.pk)
    last = closed.order_by("-period").values_list("period", flat=True).first()
    return None if last is None else _next_start(account, last)


def _next_start(account: Row, start: date) -> date:
    """The start of the period after the one that starts on `start`. A copy of lib/periods.py, next_period_start."""
    anchor = account.anchor_day
    for earlier_anchor, _zone, last_start, successor_start in json.loads(account.earlier_schedules or "[]"):
        if start < date.fromisoformat(successor_start):
            if start == date.fromisoformat(last_start):
                return date.fromisoformat(successor_start)
            anchor = earlier_anchor
            break
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return date(year, month, min(anchor, monthrange(year, month)[1]))


def _charged_until(apps: Apps, alias: str, subscription: Row) -> date | None:
    """The end of the cycle for which the last fee was charged."""
    events = apps.get_model("billing", "SubscriptionEvent").objects.using(alias).filter(account_id=subscription.pk)
    charged = events.exclude(fee_nano=0).order_by("-id").values_list("period_end", flat=True).first()
    return charged or subscription.period_end


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("billing", "0018_dated_facts"),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
