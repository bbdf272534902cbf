"""One account that fails stops no job for the accounts around it, and is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DataError
from django.db.models import F

from billing import jobs as billing_jobs
from billing.alerts import alert_text, alerts, deliveries
from billing.ledger import rollups, slot_compaction
from billing.models import Account, AlertSweepState, Delivery, PlatformDay, Subscription, UsageAlert, UsageLog
from billing.models.rollups import MAX_NANO
from billing.plans import subscriptions
from lib import jobs
from lib.money import NANO
from monitoring import readiness_checks
from monitoring.models import JobRun
from tests.billing import broken_accounts
from tests.billing.alert_rows import create_alert
from tests.billing.broken_accounts import CASES, NAMES, TOTALS, ZONE, assert_named, break_account, healthy
from tests.billing.ledger_rows import NOON, record
from tests.billing.plan_limits import set_limits
from tests.billing.subscribers import create_soft_plan
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db
broken_cases = pytest.mark.parametrize(("broken", "kind"), CASES)


def problem_of(job: Callable[[], str]) -> str:
    with pytest.raises(jobs.ProblemFound) as raised:
        job()
    return str(raised.value)


@pytest.mark.parametrize("broken", NAMES)
def test_other_subscriptions_are_renewed(broken: str) -> None:
    record(*({"account": name} for name in NAMES))
    create_soft_plan("team", 1)
    for name in NAMES:
        subscribe(name)
    break_account(broken, ZONE)
    renews = utc("2026-12-01")

    problem = problem_of(lambda: billing_jobs.renew_subscriptions(renews))
    assert problem.startswith("2 subscriptions updated; 1 failed: ")
    assert_named(problem, broken, ZONE)
    assert problem_of(lambda: billing_jobs.renew_subscriptions(renews)).startswith("0 subscriptions updated; 1 failed")
    ends = dict(Subscription.objects.values_list("account__external_id", "period_end"))
    assert {name: f"{end:%m-%d}" for name, end in ends.items()} == {
        name: "12-01" if name == broken else "01-01" for name in NAMES
    }
    broken_accounts.repair(broken)
    assert billing_jobs.renew_subscriptions(renews) == "1 subscriptions updated"


def subscribe(name: str) -> None:
    account = Account.objects.get(external_id=name)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=NOON)


def test_totals_beyond_64_bits_do_not_stop_renewals() -> None:
    record(*({"account": name} for name in NAMES))
    create_soft_plan("team", 1)
    for name in NAMES:
        subscribe(name)
    break_account("a1", TOTALS)
    broken_accounts.add_full_day("a1", NOON.date(), "azure")
    problems: list[str] = []
    assert subscriptions.renew_due(utc("2026-12-01"), problems) == 3 - len(problems)
    assert all(problem.startswith("a1: ") for problem in problems)
    assert Subscription.objects.filter(period_end="2027-01-01").count() == 3 - len(problems)


@broken_cases
def test_other_accounts_are_swept(broken: str, kind: str) -> None:
    set_limits({"monthly_cost": NANO})
    record(*({"account": name} for name in NAMES))
    break_account(broken, kind)
    if kind == TOTALS:
        broken_accounts.add_full_day(broken, NOON.date(), "azure")

    if kind == TOTALS:  # an alert shows at most the maximum
        assert billing_jobs.sweep_alerts(NOON) == "3 accounts checked, 12 alerts raised"
        assert UsageAlert.objects.filter(account__external_id=broken, used=MAX_NANO).count() == 4
        return
    problem = problem_of(lambda: billing_jobs.sweep_alerts(NOON))
    assert problem.startswith("2 accounts checked, 8 alerts raised; 1 failed: ")
    assert_named(problem, broken, kind)
    assert set(UsageAlert.objects.values_list("account__external_id", flat=True)) == set(healthy(broken))
    assert "2 accounts checked, 0 alerts raised; 1 failed" in problem_of(lambda: billing_jobs.sweep_alerts(NOON))

    broken_accounts.repair(broken)
    assert billing_jobs.sweep_alerts(NOON).endswith("accounts checked, 4 alerts raised")


def test_accounts_that_fail_do_not_displace_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep checks a limited number of accounts; those that were checked last come last, also if they failed."""
    record(*({"account": name} for name in NAMES))
    alerts.sweep(NOON)
    for name in NAMES[:2]:
        break_account(name, ZONE)
    Account.objects.update(config_version=F("config_version") + 1)
    UsageLog.objects.all().delete()  # so that only the configuration makes accounts due
    monkeypatch.setattr(alerts, "MAX_ACCOUNTS", 1)
    assert sum(alerts.sweep(NOON, []).accounts for _ in range(3)) == 1
    assert AlertSweepState.objects.filter(config_version=alerts.FAILED_VERSION).count() == 2


@pytest.mark.parametrize("broken", NAMES)
def test_other_alerts_are_delivered(broken: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    record(*({"account": name} for name in NAMES))
    for name in NAMES:
        account = Account.objects.get(external_id=name)
        deliveries.enqueue(account, [create_alert(account)], NOON)
    message = alert_text.message

    def fail(alert: UsageAlert) -> str:
        if alert.account.external_id == broken:
            raise OverflowError("too large")
        return message(alert)

    with monkeypatch.context() as patch:
        patch.setattr(alert_text, "message", fail)
        problem = problem_of(lambda: billing_jobs.deliver_alerts(NOON))
    assert problem == (
        f"2 delivered, 1 attempts failed; 1 failed: {broken} to operator@example.com: OverflowError: too large"
    )
    assert sorted(mail.subject.split(":")[0] for mail in mail.outbox) == healthy(broken)
    failed = Delivery.objects.get(account__external_id=broken)
    assert (failed.state, failed.attempts, failed.error) == (
        "pending",
        1,
        f"{broken} to operator@example.com: OverflowError: too large",
    )
    assert billing_jobs.deliver_alerts(failed.due_at) == "1 delivered, 0 attempts failed"


def test_other_platform_days_are_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = iter((3, 7) * 3)
    monkeypatch.setattr(rollups, "randbelow", lambda _upper: next(slots))
    for days in (10, 9, 8):
        for number in range(2):
            record({"event_id": f"{days}-{number}"}, at=NOON - timedelta(days=days))
    middle, compact_day = NOON.date() - timedelta(days=9), slot_compaction._compact_day

    def fail_in_the_middle(day: date) -> bool:
        if day == middle:
            raise DataError("out of range")
        return compact_day(day)

    monkeypatch.setattr(slot_compaction, "_compact_day", fail_in_the_middle)
    problem = problem_of(lambda: billing_jobs.compact_platform_days(NOON))
    assert problem == f"2 platform days compacted; 1 failed: {middle}: DataError: out of range"
    rows = PlatformDay.objects.order_by("day", "slot").values_list("day", "slot", "calls")
    assert [((NOON.date() - day).days, slot, calls) for day, slot, calls in rows] == [
        (10, 0, 2),
        (9, 3, 1),
        (9, 7, 1),
        (8, 0, 2),
    ]


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_the_problem_is_shown_with_the_job_and_on_readyz() -> None:
    set_limits({"monthly_cost": NANO})
    record(*({"account": name} for name in NAMES))
    break_account("a1", ZONE)
    call_command("run_jobs", "--once")
    job = JobRun.objects.get(name="sweep_alerts")
    assert (job.outcome, job.failures) == (JobRun.Outcome.TROUBLE, 1)
    assert job.summary.startswith("2 accounts checked, 8 alerts raised; 1 failed: a1: ZoneInfoNotFoundError")
    result = readiness_checks.jobs()
    assert result.status == "warning"
    assert result.detail == "problems found: verify_ledger, sweep_alerts, close_periods"
    assert "a1" not in result.detail  # the address is public
