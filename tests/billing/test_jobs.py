"""Billing jobs: their intervals, that a second run changes nothing, and that a killed job is finished later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from billing import jobs as billing_jobs
from billing.alerts import deliveries
from billing.corrections import corrections, redetection, repricing
from billing.limits import reservations
from billing.limits.operations import Operation
from billing.models import (
    Account,
    ClosedPeriod,
    CorrectionBatch,
    Delivery,
    IdempotencyKey,
    Statement,
    Subscription,
    UsageAlert,
    UsageLog,
    UsageReservation,
)
from billing.plans import subscriptions
from billing.statements import statements
from lib import ids, jobs
from lib.money import NANO
from providers.models import DetectionRule
from tests.billing.alert_rows import enqueue_delivery
from tests.billing.plan_limits import set_limits
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ABANDONED_AT = NOON + billing_jobs.ABANDONED_AFTER


def test_every_job_is_registered_at_its_interval() -> None:
    assert {job.name: job.interval.total_seconds() for job in jobs.registered()} == {
        "verify_ledger": 86_400,
        "find_undetected": 86_400,
        "find_unpriced_reasons": 86_400,
        "gather_unread_fields": 300,
        "sweep_alerts": 30,
        "deliver_alerts": 10,
        "expire_reservations": 60,
        "renew_subscriptions": 600,
        "close_periods": 600,
        "finish_corrections": 60,
        "gather_days": 86_400,
        "prune": 86_400,
        "erase_addresses": 600,
        "import_files": 5,
        "archive_logs": 600,
        "prune_requests": 600,
    }


def test_logs_without_a_provider_are_reported_with_their_number(account: Account) -> None:
    record(account, NOON, {"event_id": "a"}, {"event_id": "b"}, {"event_id": "c"})
    assert billing_jobs.find_undetected(NOON) == "0 logs not yet detected"
    UsageLog.objects.exclude(event_id="b").update(actual_provider_name=None)
    with pytest.raises(jobs.ProblemFound, match="2 logs not yet detected"):
        billing_jobs.find_undetected(NOON)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_alerts_are_swept_and_delivered_once(account: Account, settings: Any, mailoutbox: list[Any]) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    set_limits({"video_calls": 2})
    record(account, NOON, {"event_id": "a", "provider": "video"}, {"event_id": "b", "provider": "video"})

    assert billing_jobs.sweep_alerts(NOON) == "1 accounts checked, 2 alerts raised"
    assert billing_jobs.sweep_alerts(NOON) == "1 accounts checked, 0 alerts raised"
    assert billing_jobs.deliver_alerts(NOON) == "1 delivered, 0 attempts failed"
    assert billing_jobs.deliver_alerts(NOON) == "0 delivered, 0 attempts failed"
    assert [message.subject for message in mailoutbox] == ["acct_42: Video calls: 100 % of the limit reached"]
    assert UsageAlert.objects.count() == 2


def test_reservations_expire_once(account: Account) -> None:
    request = reservations.ReservationRequest("r", [Operation(provider="video")], 60)
    reservations.reserve(account, request, NOON)

    assert billing_jobs.expire_reservations(NOON + timedelta(seconds=59)) == "0 expired"
    assert billing_jobs.expire_reservations(NOON + timedelta(seconds=60)) == "1 expired"
    assert billing_jobs.expire_reservations(NOON + timedelta(seconds=60)) == "0 expired"
    assert UsageReservation.objects.get().state == "expired"


def test_periods_are_closed_once_and_unpaid_statements_become_past_due(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 1)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=NOON)
    closes = datetime(2026, 12, 5, tzinfo=UTC)

    assert billing_jobs.close_periods(NOON) == "0 periods closed, 0 accounts past due"
    assert billing_jobs.close_periods(closes) == "1 periods closed, 0 accounts past due"
    assert billing_jobs.close_periods(closes) == "0 periods closed, 0 accounts past due"
    assert (ClosedPeriod.objects.count(), Statement.objects.get().state) == (1, "open")
    due = closes + timedelta(days=14)
    assert billing_jobs.close_periods(due) == "0 periods closed, 1 accounts past due"
    assert billing_jobs.close_periods(due) == "0 periods closed, 0 accounts past due"
    assert Subscription.objects.get().status == "past_due"


def test_subscriptions_are_renewed_once(account: Account) -> None:
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="", at=NOON)
    renews = datetime(2026, 12, 1, tzinfo=UTC)

    assert billing_jobs.renew_subscriptions(renews - timedelta(seconds=1)) == "0 subscriptions updated"
    assert billing_jobs.renew_subscriptions(renews) == "1 subscriptions updated"
    assert billing_jobs.renew_subscriptions(renews) == "0 subscriptions updated"


def test_the_nightly_check_covers_statements_like_the_command(account: Account) -> None:
    create_soft_plan("soft", 1)
    set_billing_anchor(account)
    subscriptions.subscribe(account, plan="soft", cycle="monthly", actor="test", at=utc("2026-11-05"))
    record(account, utc("2026-11-06"), {"cost_usd": "3"})
    statements.close_due(utc("2026-12-05"))
    assert " 0 differences" in billing_jobs.verify_ledger(NOON)
    Statement.objects.update(total_nano=0)

    with pytest.raises(jobs.ProblemFound, match=" 2 differences"):
        billing_jobs.verify_ledger(NOON)


@pytest.fixture
def unpriced(account: Account) -> list[UsageLog]:
    """Three calls of a model that is priced after they are recorded."""
    calls = [
        {"event_id": f"u{number}", "model": "gpt-9", "endpoint": "https://api.openai.com/v1", "usage": {"requests": 1}}
        for number in range(3)
    ]
    return record(account, NOON, *calls)


def add_price() -> None:
    from providers import price_book
    from providers.models import Price, PriceRate, Provider

    price = Price.objects.create(
        provider=Provider.objects.get(slug="openai"),
        pattern="gpt-9",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC).date(),
    )
    PriceRate.objects.create(price=price, unit="requests", nano_per_million=NANO * 1_000_000)
    price_book.invalidate()


def start_repricing(at: datetime) -> CorrectionBatch:
    """A re-pricing that was killed after its first batch of one log."""
    choice = repricing.RepricingChoice(unpriced=True)
    batch = repricing.start(choice, reason="late price", actor="operator", at=at)
    next(iter(repricing.run(batch, size=1, clock=lambda: at)))
    return batch


def finish_corrections() -> str:
    return billing_jobs.finish_corrections(ABANDONED_AT, clock=lambda: ABANDONED_AT)


def charges_nano(account: Account) -> list[int]:
    return sorted(UsageLog.objects.filter(account=account).values_list("effective_nano", flat=True))


def test_a_repricing_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    add_price()
    batch = start_repricing(NOON)
    assert charges_nano(account) == [0, 0, NANO]

    assert billing_jobs.finish_corrections(ABANDONED_AT - timedelta(seconds=1)) == "0 batches continued"
    assert charges_nano(account) == [0, 0, NANO]
    assert finish_corrections() == "1 batches continued"
    assert finish_corrections() == "0 batches continued"
    assert charges_nano(account) == [NANO] * 3
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch.finished_at) == (3, 3 * NANO, ABANDONED_AT)
    call_command("verify_ledger")


def test_a_revert_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    add_price()
    batch = start_repricing(NOON)
    list(repricing.run(batch, size=10, clock=lambda: NOON))
    next(iter(corrections.revert(batch, actor="operator", size=1, clock=lambda: NOON)))
    assert charges_nano(account) == [0, NANO, NANO]

    assert finish_corrections() == "1 batches continued"
    assert finish_corrections() == "0 batches continued"
    assert charges_nano(account) == [0, 0, 0]
    batch.refresh_from_db()
    assert batch.reverted_at == ABANDONED_AT
    call_command("verify_ledger")


def test_a_redetection_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    from providers import rulebook

    DetectionRule.objects.all().delete()
    rulebook.invalidate()
    next(
        iter(redetection.run(redetection.RedetectionChoice(redetect=True, account=account), size=1, clock=lambda: NOON))
    )
    assert sorted(UsageLog.objects.values_list("confidence", flat=True)) != ["fallback"] * 3

    assert finish_corrections() == "1 batches continued"
    assert finish_corrections() == "0 batches continued"
    steps = redetection.run(redetection.RedetectionChoice(redetect=True), size=10, clock=lambda: ABANDONED_AT)
    assert [sum(step.changed.values()) for step in steps] == [0]
    call_command("verify_ledger")


def test_prune_deletes_old_keys_and_deliveries_once(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    enqueue_delivery(account)
    deliveries.deliver(NOON)
    for text, age in (("new", 30), ("old", 401)):
        IdempotencyKey.objects.create(
            account=account,
            key=ids.lookup_key(text),
            digest=ids.lookup_key(""),
            answer="{}",
            created_at=NOON + timedelta(days=91 - age),
        )
    at = NOON + timedelta(days=91)

    assert billing_jobs.prune(at) == "1 idempotency keys and 1 deliveries deleted"
    assert billing_jobs.prune(at) == "0 idempotency keys and 0 deliveries deleted"
    assert (IdempotencyKey.objects.count(), Delivery.objects.count(), UsageAlert.objects.count()) == (1, 0, 1)
