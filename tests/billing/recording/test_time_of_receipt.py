"""No event is committed into a period that was closed by then: every transaction has its own clock, and a limited duration."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from billing.accounts import accounts
from billing.archive import archive_job
from billing.events import events
from billing.ledger import ledger, rollups
from billing.models import Account, ClosedPeriod, Statement, UsageLog
from billing.plans import anchor_changes
from billing.recording import metering
from billing.statements import statements
from lib import retry
from tests.billing.ledger_rows import assert_ledger_consistent, run
from tests.billing.plan_limits import set_limits
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

USD = 10**9
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
GRACE_ENDS = datetime(2026, 11, 4, tzinfo=UTC)
CLOSES_AT = GRACE_ENDS + statements.CLOSE_MARGIN
LAST_OF_OCTOBER = "2026-10-31T12:00:00Z"


@pytest.fixture
def october_account(db: None, settings: Any) -> Account:
    """An account that is billed from October on."""
    settings.CLOSE_GRACE_HOURS = 72
    account = accounts.build(external_id="a", at=datetime(2026, 10, 1, tzinfo=UTC))
    account.save(force_insert=True)
    return account


def call(name: str, **fields: Any) -> dict[str, Any]:
    event = {"event_id": name, "account": "a", "provider": "openai", "occurred_at": LAST_OF_OCTOBER, "cost_usd": "1"}
    return event | fields


def record(*raw: dict[str, Any], at: datetime) -> list[str]:
    source = metering.EventSource(may_state_cost=True, may_create_accounts=True, any_age=True)
    return [result.status for result in metering.record([events.parse(event) for event in raw], source=source, at=at)]


def placements() -> list[tuple[str, date, date | None, datetime]]:
    logs = UsageLog.objects.order_by("event_id")
    return list(logs.values_list("event_id", "usage_period", "late_for", "received_at"))


def committed_into_closed_periods() -> int:
    """The number of logs whose period was closed before their transaction can have begun."""
    closed = dict(ClosedPeriod.objects.values_list("period", "closed_at"))
    logs = UsageLog.objects.values_list("usage_period", "received_at")
    return sum(period in closed and received_at >= closed[period] for period, received_at in logs)


def during_first_insert(monkeypatch: pytest.MonkeyPatch, step: Callable[[], object], *, times: int = 1) -> None:
    """Runs the step in the first transactions, after the accounts were read."""
    insert, remaining = ledger.insert, iter(range(times))

    def insert_after_step(*arguments: Any) -> Any:
        if next(remaining, None) is not None:
            step()
        return insert(*arguments)

    monkeypatch.setattr(ledger, "insert", insert_after_step)


@pytest.mark.frozen_at("2026-11-03T23:00")
def test_an_import_that_runs_across_the_close_puts_nothing_into_the_closed_period(
    october_account: Account, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,500 calls of October, in two batches; October is closed between them."""
    file = tmp_path / "history.csv"
    rows = [f"{LAST_OF_OCTOBER},1" for _ in range(1_500)]
    file.write_text("\n".join(["occurred_at,cost_usd", *rows]))

    def close() -> None:
        clock.move_to(CLOSES_AT)
        assert statements.close_due(CLOSES_AT) == 1
        clock.shift(timedelta(minutes=1))

    read_lines: Any = islice

    def close_before_second_batch(*arguments: Any) -> Any:
        if UsageLog.objects.exists() and not ClosedPeriod.objects.exists():
            close()
        return read_lines(*arguments)

    monkeypatch.setattr("billing.recording.bulk_import.islice", close_before_second_batch)
    result = run("import_usage", str(file), "--set", "provider=openai", "--account", "a")

    assert (result.status, result.lines[-1]) == (
        0,
        "1500 read: 1500 imported (0 unpriced), 0 already stored, 0 refused.",
    )
    assert Statement.objects.get().usage_nano == 1_000 * USD
    in_november = UsageLog.objects.filter(usage_period=NOVEMBER, late_for=OCTOBER)
    assert (in_november.count(), committed_into_closed_periods()) == (500, 0)
    clock.move_to("2026-12-05T12:00")
    statements.close_due(utc("2026-12-05T12:00"))
    assert list(Statement.objects.order_by("period").values_list("usage_nano", flat=True)) == [1_000 * USD, 500 * USD]
    assert_ledger_consistent()


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_lasts_too_long_is_repeated_with_a_new_clock(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    during_first_insert(monkeypatch, lambda: clock.shift(retry.MAX_TRANSACTION))

    assert record(call("e1"), at=now) == ["accepted"]
    assert placements() == [("e1", NOVEMBER, OCTOBER, now + retry.MAX_TRANSACTION)]


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_a_transaction_just_within_the_limit_is_committed(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    during_first_insert(monkeypatch, lambda: clock.shift(retry.MAX_TRANSACTION - timedelta(microseconds=1)))

    assert record(call("e1"), at=now) == ["accepted"]
    assert placements() == [("e1", OCTOBER, None, now)]
    assert now + retry.MAX_TRANSACTION < CLOSES_AT


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_transactions_that_all_last_too_long_store_nothing(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, service: Api
) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 3)
    during_first_insert(monkeypatch, lambda: clock.shift(retry.MAX_TRANSACTION), times=3)

    response = service.post("usage/", call("e1"))
    assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "unavailable")
    assert placements() == []
    assert service.post("usage/", call("e1")).status_code == 201


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_a_settlement_that_lasts_too_long_is_repeated_whole(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, service: Api
) -> None:
    set_limits({})
    operation = {"provider": "openai"}
    body = {"reservation_id": "r1", "account": "a", "operations": [operation], "ttl_seconds": 86_400}
    reservation = service.post("reservations/", body).json()["id"]
    during_first_insert(monkeypatch, lambda: clock.shift(retry.MAX_TRANSACTION))

    response = service.post(f"reservations/{reservation}/settle/", {"event": call("e1")})
    assert (response.status_code, response.json()["reservation"]["state"]) == (201, "settled")
    assert [received_at for *_, received_at in placements()] == [utc("2026-11-04T00:20")]


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_a_retry_after_a_deadlock_reads_the_clock_again(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    code = "40P01" if connection.vendor == "postgresql" else 1213
    add, remaining = rollups.add, iter(range(1))

    def deadlock_once(*arguments: Any, **options: Any) -> None:
        if next(remaining, None) is not None:
            clock.shift(timedelta(minutes=20))
            error = OperationalError(code, "deadlock")
            error.__cause__ = type("Cause", (Exception,), {"sqlstate": code})()
            raise error
        add(*arguments, **options)

    monkeypatch.setattr(rollups, "add", deadlock_once)
    assert record(call("e1"), at=now) == ["accepted"]
    assert placements() == [("e1", NOVEMBER, OCTOBER, now + timedelta(minutes=20))]


@pytest.mark.frozen_at("2026-11-03T23:50")
@pytest.mark.django_db(transaction=True)
def test_a_repeated_transaction_reads_the_accounts_again(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    during_first_insert(monkeypatch, lambda: clock.shift(retry.MAX_TRANSACTION))

    def between_attempts(_seconds: float) -> object:
        return Account.objects.update(billed_from=NOVEMBER)

    monkeypatch.setattr(time, "sleep", between_attempts)
    assert record(call("e1"), at=now) == ["accepted"]
    assert placements() == [("e1", OCTOBER, None, now + retry.MAX_TRANSACTION)]  # history


@pytest.mark.frozen_at("2026-11-05T12:00")
def test_a_longer_grace_does_not_open_a_closed_period(october_account: Account, settings: Any, now: datetime) -> None:
    Account.objects.update(closed_before=NOVEMBER)
    settings.CLOSE_GRACE_HOURS = 24 * 365

    assert record(call("e1"), call("e2", occurred_at="2026-11-01T00:00:00Z"), at=now) == ["accepted"] * 2
    assert placements() == [("e1", NOVEMBER, OCTOBER, now), ("e2", NOVEMBER, None, now)]


@pytest.mark.frozen_at("2026-11-05T12:00")
def test_history_from_before_billing_counts_where_it_happened(october_account: Account, now: datetime) -> None:
    Account.objects.update(closed_before=NOVEMBER)
    assert record(call("e1", occurred_at="2026-09-30T23:59:59Z"), at=now) == ["accepted"]
    assert placements() == [("e1", date(2026, 9, 1), None, now)]


def test_the_margins_are_longer_than_any_transaction() -> None:
    for margin in (statements.CLOSE_MARGIN, anchor_changes.LEAD_TIME, archive_job.DELETE_DELAY):
        assert margin >= 2 * retry.MAX_TRANSACTION


@pytest.mark.frozen_at("2026-11-03T20:00")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(5))
def test_no_event_lands_in_a_period_that_was_closed(
    october_account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Transactions that last from 0 to 100 minutes, with a run of the closing job after each attempt."""
    rng, committed = random.Random(seed), 0
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    insert = ledger.insert

    def insert_slowly(*arguments: Any) -> Any:
        stored = insert(*arguments)
        clock.shift(timedelta(minutes=rng.choice((0, 1, 20, 29, 30, 31, 60, 100))))
        return stored

    monkeypatch.setattr(ledger, "insert", insert_slowly)
    for number in range(20):
        with suppress(OperationalError):
            committed += record(call(f"e{number}"), at=timezone.now()) == ["accepted"]
            log = UsageLog.objects.get(event_id=f"e{number}")
            assert not ClosedPeriod.objects.filter(period=log.usage_period).exists()
        statements.close_due(timezone.now())
    assert (UsageLog.objects.count(), ClosedPeriod.objects.count()) == (committed, 1)
    assert Statement.objects.get().calls == UsageLog.objects.filter(usage_period=OCTOBER).count()
    monkeypatch.undo()
    assert_ledger_consistent()
