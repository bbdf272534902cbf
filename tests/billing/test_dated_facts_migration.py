"""Migration 0019: the closed days of accounts and the charged days of subscriptions; killed, and repeated."""

from __future__ import annotations

import json
from datetime import date, datetime
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from billing.accounts import accounts
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, Subscription
from billing.plans import subscriptions
from lib import periods
from tests.billing.subscribers import create_soft_plan
from tests.frozen_clock import utc

migration = import_module("billing.migrations.0019_closed_before_and_charged_until")
pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.frozen_at("2026-11-22T12:00"),
]

# anchor day, earlier schedules, last closed period -> the first day that is not closed
SCHEDULES: list[tuple[int, list[list[Any]], str | None, str | None]] = [
    (1, [], None, None),
    (1, [], "2026-12-01", "2027-01-01"),
    (31, [], "2026-01-31", "2026-02-28"),
    (15, [[1, "UTC", "2026-08-01", "2026-09-15"]], "2026-07-01", "2026-08-01"),
    (15, [[1, "UTC", "2026-08-01", "2026-09-15"]], "2026-08-01", "2026-09-15"),
    (15, [[1, "UTC", "2026-08-01", "2026-09-15"]], "2026-09-15", "2026-10-15"),
]


@pytest.fixture
def expected(now: datetime) -> dict[str, date | None]:
    """Accounts as an earlier release left them, and the day that each must get."""
    days = {}
    for number, (anchor_day, earlier, last, first_open) in enumerate(SCHEDULES):
        account = accounts.build(external_id=f"a{number}", at=now, anchor_day=anchor_day)
        account.earlier_schedules = json.dumps(earlier) if earlier else ""
        account.save(force_insert=True)
        if last:
            ClosedPeriod.objects.create(account=account, period=last, closed_at=now)
        days[account.external_id] = date.fromisoformat(first_open) if first_open else None
    return days


def closed_days() -> dict[str, date | None]:
    return dict(Account.objects.values_list("external_id", "closed_before"))


def forwards() -> None:
    with connection.schema_editor(atomic=False) as editor:
        migration.forwards(apps, editor)


def test_each_account_gets_the_day_after_its_last_closed_period(expected: dict[str, date | None]) -> None:
    for _ in range(2):
        forwards()
        assert closed_days() == expected
    for account in Account.objects.exclude(closed_before=None):  # the copy in the migration agrees with the schedules
        last = max(closed_periods.closed_starts(account.pk))
        assert account.closed_before == periods.next_period_start(account.schedule, last)


def test_a_killed_migration_continues(expected: dict[str, date | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "BATCH_SIZE", 2)
    original, calls = migration._closed_before, []

    def killed(*arguments: Any) -> date | None:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        result: date | None = original(*arguments)
        return result

    monkeypatch.setattr(migration, "_closed_before", killed)
    with pytest.raises(KeyboardInterrupt):
        forwards()
    assert {name for name, day in closed_days().items() if day} == {"a1"}  # the second batch was rolled back
    forwards()
    assert closed_days() == expected


def test_a_subscription_is_charged_until_the_end_of_the_cycle_that_its_last_fee_paid(now: datetime) -> None:
    create_soft_plan("team", 5)
    for name in ("paid", "cancelled"):
        account = accounts.build(external_id=name, at=now)
        account.save(force_insert=True)
        subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=utc("2026-11-22"))
    subscriptions.cancel(Account.objects.get(external_id="cancelled"), actor="", at=now, immediately=True)
    Subscription.objects.update(charged_until=None)

    forwards()
    assert set(Subscription.objects.values_list("charged_until", flat=True)) == {date(2026, 12, 1)}
