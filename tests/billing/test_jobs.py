"""The jobs of billing: registered at their intervals; each may be run twice, and a killed one is taken up again."""

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
from tests.billing.alerted import planned
from tests.billing.caps import cap
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + billing_jobs.LEFT


def test_every_job_is_registered_at_its_interval() -> None:
    assert {job.name: job.every.total_seconds() for job in jobs.registered()} == {
        "verify_ledger": 86_400,
        "find_undetected": 86_400,
        "sweep_alerts": 30,
        "deliver_alerts": 10,
        "expire_reservations": 60,
        "renew_subscriptions": 600,
        "close_periods": 600,
        "finish_corrections": 60,
        "gather_days": 86_400,
        "prune": 86_400,
        "erase_addresses": 600,
        "archive_logs": 600,
        "prune_requests": 600,
    }


def test_logs_without_a_provider_are_trouble_and_told_by_their_number(account: Account) -> None:
    record(account, NOW, {"event_id": "a"}, {"event_id": "b"}, {"event_id": "c"})
    assert billing_jobs.find_undetected(NOW) == "0 logs not yet detected"
    UsageLog.objects.exclude(event_id="b").update(actual_provider_name=None)
    with pytest.raises(jobs.Trouble, match="2 logs not yet detected"):
        billing_jobs.find_undetected(NOW)


def test_alerts_are_swept_and_delivered_once(account: Account, settings: Any, mailoutbox: list[Any]) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    cap({"video_calls": 2})
    record(account, NOW, {"event_id": "a", "provider": "video"}, {"event_id": "b", "provider": "video"})

    assert billing_jobs.sweep_alerts(NOW) == "1 accounts looked at, 2 alerts raised"
    assert billing_jobs.sweep_alerts(NOW) == "1 accounts looked at, 0 alerts raised"
    assert billing_jobs.deliver_alerts(NOW) == "1 delivered, 0 attempts failed"
    assert billing_jobs.deliver_alerts(NOW) == "0 delivered, 0 attempts failed"
    assert [sent.subject for sent in mailoutbox] == ["acct_42: Video calls: 100 % of the limit"]
    assert UsageAlert.objects.count() == 2


def test_reservations_expire_once(account: Account) -> None:
    wanted = reservations.Wanted("r", [Operation(provider="video")], 60)
    reservations.reserve(account, wanted, NOW)

    assert billing_jobs.expire_reservations(NOW + timedelta(seconds=59)) == "0 expired"
    assert billing_jobs.expire_reservations(NOW + timedelta(seconds=60)) == "1 expired"
    assert billing_jobs.expire_reservations(NOW + timedelta(seconds=60)) == "0 expired"
    assert UsageReservation.objects.get().state == "expired"


def test_periods_are_closed_once_and_what_is_unpaid_falls_due(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    soft_plan("team", 1)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=NOW)
    closes = datetime(2026, 12, 5, tzinfo=UTC)

    assert billing_jobs.close_periods(NOW) == "0 periods closed, 0 accounts past due"
    assert billing_jobs.close_periods(closes) == "1 periods closed, 0 accounts past due"
    assert billing_jobs.close_periods(closes) == "0 periods closed, 0 accounts past due"
    assert (ClosedPeriod.objects.count(), Statement.objects.get().state) == (1, "open")
    due = closes + timedelta(days=14)
    assert billing_jobs.close_periods(due) == "0 periods closed, 1 accounts past due"
    assert billing_jobs.close_periods(due) == "0 periods closed, 0 accounts past due"
    assert Subscription.objects.get().status == "past_due"


def test_subscriptions_are_renewed_once(account: Account) -> None:
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="", at=NOW)
    renews = datetime(2026, 12, 1, tzinfo=UTC)

    assert billing_jobs.renew_subscriptions(renews - timedelta(seconds=1)) == "0 subscriptions brought up to date"
    assert billing_jobs.renew_subscriptions(renews) == "1 subscriptions brought up to date"
    assert billing_jobs.renew_subscriptions(renews) == "0 subscriptions brought up to date"


def test_the_nightly_check_looks_at_statements_as_the_command_does(account: Account) -> None:
    soft_plan("soft", 1)
    on(account)
    subscriptions.subscribe(account, plan="soft", cycle="monthly", actor="test", at=at("2026-11-05"))
    record(account, at("2026-11-06"), {"cost_usd": "3"})
    statements.close_due(at("2026-12-05"))
    assert billing_jobs.verify_ledger(NOW).endswith(" 0 differences")
    Statement.objects.update(total_nano=0)

    with pytest.raises(jobs.Trouble, match=" 1 differences"):
        billing_jobs.verify_ledger(NOW)


@pytest.fixture
def unpriced(account: Account) -> list[UsageLog]:
    """Three calls of a model that gets its price only later."""
    calls = [
        {"event_id": f"u{number}", "model": "gpt-9", "endpoint": "https://api.openai.com/v1", "usage": {"requests": 1}}
        for number in range(3)
    ]
    return record(account, NOW, *calls)


def priced() -> None:
    from providers import price_book
    from providers.models import Price, PriceRate, Provider

    price = Price.objects.create(
        provider=Provider.objects.get(slug="openai"),
        pattern="gpt-9",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC).date(),
    )
    PriceRate.objects.create(price=price, unit="requests", nano_per_million=NANO * 1_000_000)
    price_book.changed()


def begun(at: datetime) -> CorrectionBatch:
    """A re-pricing that was killed after its first step."""
    choice = repricing.Choice(unpriced=True)
    batch = repricing.start(choice, reason="late price", actor="operator", at=at)
    next(iter(repricing.go_on(batch, size=1, at=at)))
    return batch


def worth(account: Account) -> list[int]:
    return sorted(UsageLog.objects.filter(account=account).values_list("effective_nano", flat=True))


def test_a_repricing_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    priced()
    batch = begun(NOW)
    assert worth(account) == [0, 0, NANO]

    assert billing_jobs.finish_corrections(LATER - timedelta(seconds=1)) == "0 batches gone on with"
    assert worth(account) == [0, 0, NANO]
    assert billing_jobs.finish_corrections(LATER) == "1 batches gone on with"
    assert billing_jobs.finish_corrections(LATER) == "0 batches gone on with"
    assert worth(account) == [NANO] * 3
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch.finished_at) == (3, 3 * NANO, LATER)
    call_command("verify_ledger")


def test_a_revert_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    priced()
    batch = begun(NOW)
    list(repricing.go_on(batch, size=10, at=NOW))
    next(iter(corrections.revert(batch, actor="operator", size=1, at=NOW)))
    assert worth(account) == [0, NANO, NANO]

    assert billing_jobs.finish_corrections(LATER) == "1 batches gone on with"
    assert billing_jobs.finish_corrections(LATER) == "0 batches gone on with"
    assert worth(account) == [0, 0, 0]
    batch.refresh_from_db()
    assert batch.reverted_at == LATER
    call_command("verify_ledger")


def test_a_redetection_that_was_killed_is_finished(account: Account, unpriced: list[UsageLog]) -> None:
    from providers import rulebook

    DetectionRule.objects.all().delete()
    rulebook.changed()
    next(iter(redetection.run(redetection.Choice(redetect=True, account=account), size=1, at=NOW)))
    assert sorted(UsageLog.objects.values_list("confidence", flat=True)) != ["fallback"] * 3

    assert billing_jobs.finish_corrections(LATER) == "1 batches gone on with"
    assert billing_jobs.finish_corrections(LATER) == "0 batches gone on with"
    names = redetection.run(redetection.Choice(redetect=True), size=10, at=LATER)
    assert [sum(part.renamed.values()) for part in names] == [0]
    call_command("verify_ledger")


def test_prune_forgets_old_keys_and_deliveries_once(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    planned(account)
    deliveries.deliver(NOW)
    for text, age in (("new", 30), ("old", 401)):
        IdempotencyKey.objects.create(
            account=account,
            key=ids.key_of(text),
            digest=ids.key_of(""),
            answer="{}",
            created_at=NOW + timedelta(days=91 - age),
        )
    at = NOW + timedelta(days=91)

    assert billing_jobs.prune(at) == "1 idempotency keys and 1 deliveries deleted"
    assert billing_jobs.prune(at) == "0 idempotency keys and 0 deliveries deleted"
    assert (IdempotencyKey.objects.count(), Delivery.objects.count(), UsageAlert.objects.count()) == (1, 0, 1)
